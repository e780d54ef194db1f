"""Checks of controls over articles, see docs/checks.md."""
