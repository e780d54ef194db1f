"""Checks of controls over monitoring, see docs/checks.md."""
