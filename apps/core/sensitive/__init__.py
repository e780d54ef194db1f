"""What must not be kept in texts, one file for each family; :mod:`apps.core.redaction` puts them together.

A finder takes a text in which digits, spaces and dashes of all scripts are ASCII, and yields spans of it.
"""
