"""Checks of controls over orders, see docs/checks.md."""
