"""What the handbook says is so: every metric is listed, and every command that it names exists."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import get_commands
from prometheus_client import REGISTRY

from apps.core import http, ratelimit  # noqa: F401  # they declare metrics
from apps.core.metrics import ValkeyCollector

ROOT = Path(__file__).resolve().parents[2]
HANDBOOK = ROOT / "docs" / "operate.md"
TEXTS = [HANDBOOK, *sorted((ROOT / "docs" / "runbooks").glob("*.md"))]
SUFFIX = re.compile(r"_(total|created)$")


def families() -> set[str]:
    """The names of our metrics, as Prometheus shows them without the endings that it adds."""
    for config in apps.get_app_configs():
        if config.name.startswith("apps.") and (Path(config.path) / "metrics.py").exists():
            importlib.import_module(f"{config.name}.metrics")
    found = {family.name for family in REGISTRY.collect()} | {family.name for family in ValkeyCollector().collect()}
    return {name for name in found if name.startswith("riskdesk_")}


def listed() -> set[str]:
    """The names in the handbook's table; one that begins with an underscore ends the line's first name."""
    names = set()
    for line in HANDBOOK.read_text().splitlines():
        cells = re.findall(r"`(riskdesk_\w+|_\w+)`", line.split("|")[1]) if line.startswith("| `riskdesk_") else []
        for cell in cells:
            stem = cells[0].removesuffix("_total").rsplit("_", 1)[0]
            names.add(SUFFIX.sub("", cell if cell.startswith("riskdesk_") else stem + cell))
    return names


def test_every_metric_is_in_the_handbook_and_nothing_else() -> None:
    assert listed() == families()


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.stem)
def test_every_command_exists(text: Path) -> None:
    known = get_commands()
    named = set(re.findall(r"manage\.py ([a-z_]+)", text.read_text()))
    assert named <= set(known)


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.stem)
def test_every_link_leads_somewhere(text: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", text.read_text()):
        assert (text.parent / target).exists(), target
