"""The protocol's seven indicators, one file each; see :mod:`apps.escalation.signs`."""
