"""Policies of the chat as versioned data."""

from __future__ import annotations

from apps.core.versions import SettingsVersion


class ChatPolicyVersion(SettingsVersion):
    """A policy as it was from one moment on. Rows are never changed (a trigger refuses it)."""

    class Meta(SettingsVersion.Meta):
        pass
