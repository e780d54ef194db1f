"""Admin pages of the core, and the admin classes that every app uses."""

from apps.core.admin import people, running, trail
from apps.core.admin.base import ReadOnlyAdmin, ScopedAdmin
from apps.core.admin.trail import page_of

__all__ = ["ReadOnlyAdmin", "ScopedAdmin", "page_of", "people", "running", "trail"]
