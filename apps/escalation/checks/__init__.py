"""Checks of controls over flags and tickets, see docs/checks.md."""
