"""Subscriptions of the demonstration."""
