"""Checks of controls over subscriptions, see docs/checks.md."""
