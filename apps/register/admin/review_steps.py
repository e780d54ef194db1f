"""What people do with a review."""

from __future__ import annotations

from django.contrib.admin import ModelAdmin
from django.urls import URLPattern


def pages(modeladmin: ModelAdmin) -> list[URLPattern]:
    """The pages of this module."""
    return []
