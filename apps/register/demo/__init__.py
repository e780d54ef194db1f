"""What the demonstration shows of the risk register."""
