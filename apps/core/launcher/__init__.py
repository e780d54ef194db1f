"""Starts, watches and stops everything that Riskdesk needs on one machine.

``python -m apps.core.launcher run`` is `make run`; ``... exec --ephemeral -- COMMAND`` gives a command throw-away
servers (`make test`). Nothing in this package imports Django: it runs before the database is there.
"""
