"""Invented shops, for demonstrations: the same documents that a real platform sends."""
