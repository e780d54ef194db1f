"""The chance that the next renewal fails, learned from the attempts: beside the rules, never instead of them."""
