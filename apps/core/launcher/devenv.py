"""`var/dev.env`: the development environment, shared with every other shell of the same project."""

from __future__ import annotations

import base64
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from apps.core.launcher.errors import LaunchError

LINE = re.compile(r"([A-Z][A-Z0-9_]*)='((?:[^'\\]|\\.)*)'")
HEADER = "# Written by `make run`, for development only; config/env.py reads it when RISKDESK_ENV is not set.\n"


def fresh_secrets() -> dict[str, str]:
    """A new secret key and a new Fernet key."""
    return {
        "SECRET_KEY": secrets.token_urlsafe(48),
        "FIELD_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    }


def read(path: Path) -> dict[str, str]:
    """The variables in the file; none if there is no file.

    Raises:
        LaunchError: naming the first line that is not ``NAME='value'``.
    """
    if not path.exists():
        return {}
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = LINE.fullmatch(line.strip())
        if match is None:
            raise LaunchError(
                f"Line {number} of {path} is damaged; it must look like NAME='value'. Correct it, or remove the file: "
                "a new one is made, but secrets kept in the database (store credentials) must then be entered again."
            )
        found[match[1]] = re.sub(r"\\(.)", r"\1", match[2])
    return found


def write(path: Path, variables: Mapping[str, str]) -> None:
    """Replace the file in one step, readable by this user alone."""
    lines = [f"{name}='{_escape(value)}'\n" for name, value in variables.items()]
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(HEADER + "".join(lines))
    fresh.chmod(0o600)
    fresh.replace(path)


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


def refresh(path: Path, addresses: Mapping[str, str], defaults: Mapping[str, str]) -> dict[str, str]:
    """Bring the file up to date and return it: addresses are set, secrets and what the person changed are kept."""
    variables = {**fresh_secrets(), **defaults, **read(path), **addresses}
    write(path, variables)
    return variables
