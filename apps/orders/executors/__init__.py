"""Effects of approved cards on orders and customers: one executor, one file, found by discovery."""
