"""Detectors over articles: one rule, one file. Found by discovery; ``manage.py list_rules`` prints them."""
