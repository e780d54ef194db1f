"""What the demonstration shows of the knowledge base."""
