"""Admin pages for people and scopes."""
