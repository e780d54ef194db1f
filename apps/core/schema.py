"""What the API's description says besides what is found by itself."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # its registration
    """``Authorization: Bearer TOKEN``."""

    target_class = "apps.core.tokens.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


class PasswordScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # as above
    """Name and password, by which a token is made."""

    target_class = "apps.core.tokens.PasswordAuthentication"
    name = "password"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "basic"}


def close_bodies(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Say of each :class:`apps.core.bodies.Body` that it takes no further fields."""
    for name, component in result.get("components", {}).get("schemas", {}).items():
        if name.endswith("Body"):
            component["additionalProperties"] = False
    return result
