"""Checks of controls over the chat, see docs/checks.md."""
