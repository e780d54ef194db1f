"""The sockets of customers: what one web process knows about them, and how it stores and reads for all of them at once."""
