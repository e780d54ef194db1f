"""A customer without a browser, the faults between it and the server, and servers that can be killed."""
