"""Checks of what all apps share: the site, its keys, its people, its schedule, its records."""
