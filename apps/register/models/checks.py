"""Versions of the checks' limits."""

from __future__ import annotations

from apps.core.versions import SettingsVersion


class CheckVersion(SettingsVersion):
    """Limits of a check as they were from one moment on. Rows are never changed (a database trigger refuses it)."""

    class Meta(SettingsVersion.Meta):
        pass
