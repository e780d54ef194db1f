"""The demonstration of the chat: a site, and conversations on every stage."""
