"""The agents' desk: lists, the talk with a customer, and what is done with it. The page asks, a socket hints."""
