"""Redaction at the door: what a customer writes is kept masked."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import uuid4

from pydantic import Field

from apps.core.redaction import redact
from apps.escalation.models import Report, TicketMessage
from apps.escalation.reports import observe
from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site

CARD = "4111 1111 1111 1111"  # a test number of the card schemes


class Settings(CheckSettings):
    """How much is looked at."""

    newest: int = Field(200, ge=1, le=5_000, title="Newest", description="So many kept texts of each kind are read.")


@check(
    slug="messages-redacted",
    title="What customers write is kept masked",
    every=timedelta(hours=6),
    settings=Settings,
    mitigation="See where the text came in: it must pass apps.core.redaction.redact before it is kept.",
)
def look(*, now: datetime, settings: Settings, site: Site) -> Finding:
    """Hands in a message with a made-up card number and reads what is kept, and redacts the newest kept texts once more."""
    report = observe(
        source=f"check:{uuid4().hex}", text=f"My card is {CARD}", customer="check", category="check", scope=None, at=now
    )
    kept = Report.objects.get(pk=report.pk)
    failures = ["A card number was kept as it was written."] if CARD in kept.text else []
    facts: dict[str, dict[str, int]] = {}
    for name, texts in _newest(settings.newest).items():
        open_ones = [words for words in texts if _tells_secrets(words)]
        facts[name] = {"read": len(texts), "notMasked": len(open_ones)}
        if open_ones:
            failures.append(f"{len(open_ones)} of the newest {len(texts)} {name} hold what should be masked.")
    read = sum(one["read"] for one in facts.values())
    return concluded(
        f"A made-up card number was masked, and {read} kept texts hold none.",
        failures=failures,
        facts=facts,
        query="a message of its own, and the newest texts",
    )


def _newest(count: int) -> dict[str, list[str]]:
    reports = Report.objects.order_by("-at").values_list("text", flat=True)
    messages = TicketMessage.objects.order_by("-pk").values_list("body", flat=True)
    return {"reports": list(reports[:count]), "messages of tickets": list(messages[:count])}


def _tells_secrets(text: str) -> bool:
    return any(one["kind"] in {"card", "password", "bank_account", "national_id"} for one in redact(text).masked)
