"""Raw JSON for those who want to see it."""

from __future__ import annotations

import json
from typing import Any

from django import template

register = template.Library()


@register.filter
def pretty_json(value: Any) -> str:
    """Indented JSON, keys in their own order; escaped by the template as any text."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
