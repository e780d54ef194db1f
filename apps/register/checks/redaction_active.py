"""Redaction: what customers should not have sent is masked before it is kept or logged."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from structlog.stdlib import ProcessorFormatter

from apps.core.logging import formatting
from apps.core.redaction import redact
from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site

# Made up: the numbers are test numbers of card schemes and banks' examples, and belong to nobody.
SYNTHETIC = {
    "card": ("my card is 4111 1111 1111 1111", "4111 1111 1111 1111"),
    "bank_account": ("my IBAN is DE89 3704 0044 0532 0130 00", "DE89 3704 0044 0532 0130 00"),
    "password": ("my password is Tr0ub4dor&3", "Tr0ub4dor&3"),
    "email": ("write to ada.example@example.com please", "ada.example@example.com"),
    "phone": ("call me at +44 20 7946 0958", "+44 20 7946 0958"),
    "national_id": ("my SSN is 536-22-1234", "536-22-1234"),
    "secret": ("key sk_live_4eC39HqLyjWDarjtT1zdp7dc", "4eC39HqLyjWDarjtT1zdp7dc"),
    "ip_address": ("it came from 203.0.113.77", "203.0.113.77"),
}
HARMLESS = "Order #1001 of 2 March for 25.90 USD has tracking number 1Z999AA10123456784"


@check(
    slug="redaction-active",
    title="Personal data and secrets are masked",
    every=timedelta(hours=1),
    mitigation="See which kind is not masked (apps/core/redaction.py, apps/core/logging.py) before more of it is kept.",
)
def look(*, now: datetime, settings: CheckSettings, site: Site) -> Finding:
    """Sends made-up card numbers, passwords and the like through the redaction of messages and through that of the log."""
    passed = [kind for kind, (text, telling) in SYNTHETIC.items() if telling in redact(text).text]
    logged = _logged_secrets()
    failures = [f"Not masked in messages: {', '.join(passed)}."] if passed else []
    if logged:
        failures.append(f"Not masked in the log: {', '.join(logged)}.")
    harm = redact(HARMLESS).text
    warnings = [] if harm == HARMLESS else ["An order's number, amount or tracking number is masked too."]
    return concluded(
        f"All {len(SYNTHETIC)} kinds are masked in messages, and secrets and addresses in the log.",
        failures=failures,
        warnings=warnings,
        facts={"kinds": sorted(SYNTHETIC), "notMasked": passed, "inTheLog": logged},
        query="redact() and the log's own formatter with synthetic data",
    )


def _logged_secrets() -> list[str]:
    """Names of what the formatter of the log lets through."""
    tried: dict[str, dict[str, Any]] = {
        "password": {"password": "Tr0ub4dor&3"},
        "authorization": {"headers": {"Authorization": "Bearer abcdef123456"}},
        "bearer": {"note": "sent Authorization: Bearer abcdef123456"},
        "address": {"note": "mail to ada.example@example.com"},
        "url": {"note": "postgres://desk:hunter22@db/riskdesk"},
    }
    telling = ("Tr0ub4dor&3", "abcdef123456", "ada.example@example.com", "hunter22")
    formatter = ProcessorFormatter(processors=formatting("json"))
    found = []
    for name, event in tried.items():
        record = logging.LogRecord("check", logging.INFO, __file__, 0, {"event": "synthetic", **event}, None, None)
        record._logger, record._name = None, "info"  # by these the formatter knows an event of structlog
        if any(word in formatter.format(record) for word in telling):
            found.append(name)
    return found
