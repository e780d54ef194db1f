"""How the API writes its answers."""

from __future__ import annotations

from typing import Any

from rest_framework.renderers import JSONRenderer


class ReadyJson(str):
    """An answer's body that is JSON already, as the database can make it."""

    __slots__ = ()


class Renderer(JSONRenderer):
    """JSON; what is JSON already goes out as it is."""

    def render(self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None) -> bytes:
        if isinstance(data, ReadyJson):
            return data.encode()
        return bytes(super().render(data, accepted_media_type, renderer_context))
