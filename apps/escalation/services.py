"""What other apps call: raising a flag, and what can be wrong with that."""

from __future__ import annotations

from apps.escalation.binding import InvalidLevel
from apps.escalation.flags import raise_flag
from apps.escalation.ladder import first_step

__all__ = ["InvalidLevel", "first_step", "raise_flag"]
