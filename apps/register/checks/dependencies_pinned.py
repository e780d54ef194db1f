"""Dependencies: what is installed is what the lock file names, each file by its hash."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from django.conf import settings as project
from packaging.requirements import InvalidRequirement, Requirement

from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site

LOCK = "requirements.txt"
_CONTINUED = re.compile(r"\\\s*\n")


@check(
    slug="dependencies-pinned",
    title="What is installed is what is locked",
    every=timedelta(hours=12),
    mitigation="Run `make lock`, and install with pip install --require-hashes -r requirements.txt.",
)
def look(*, now: datetime, settings: CheckSettings, site: Site) -> Finding:
    """Reads the lock file: every package has one version and hashes, and just that version is installed here."""
    path = Path(project.BASE_DIR) / LOCK
    try:
        lines = [line.strip() for line in _CONTINUED.sub(" ", path.read_text()).splitlines()]
    except OSError as error:
        return concluded("", failures=[f"{LOCK} cannot be read: {error.strerror}."], query=LOCK)
    entries = [line for line in lines if line and not line.startswith(("#", "-"))]
    loose, bare, other = [], [], []
    for line in entries:
        words, _, hashes = line.partition("--hash=")
        wanted = _requirement(words.strip())
        if wanted is None or [one.operator for one in wanted.specifier] != ["=="]:
            loose.append(words.strip()[:60])
            continue
        if not hashes:
            bare.append(wanted.name)
        if wanted.marker is None or wanted.marker.evaluate():
            found = _installed(wanted.name)
            if found not in wanted.specifier:
                other.append(f"{wanted.name} {found or 'missing'} instead of {wanted.specifier}")
    failures = [] if entries else [f"{LOCK} names no package."]
    failures += [f"Not pinned to one version: {', '.join(loose[:10])}."] if loose else []
    failures += [f"Without hashes: {', '.join(bare[:10])}."] if bare else []
    failures += [f"Installed otherwise: {', '.join(other[:10])}."] if other else []
    return concluded(
        f"All {len(entries)} packages have one version and hashes, and are installed so.",
        failures=failures,
        facts={"packages": len(entries), "loose": loose, "withoutHashes": bare, "otherwise": other},
        query=f"{LOCK} against the installed packages",
    )


def _requirement(words: str) -> Requirement | None:
    try:
        return Requirement(words)
    except InvalidRequirement:
        return None


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
