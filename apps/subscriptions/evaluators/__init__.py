"""Evaluators of subscriptions, one a file."""
