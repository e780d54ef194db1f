"""The demonstration of the escalation: a ticket desk, and flags on every rung."""
