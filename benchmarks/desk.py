"""How long the operators' queue takes with a million cards, beside a straightforward admin list.

    python benchmarks/desk.py [--cards 1000000] [--waiting 0.1] [--requests 100] [--keep]

Makes a scratch database beside the one of ``DATABASE_URL``, fills it by set-based SQL, and asks for pages through
Django's test client, so what is measured is the whole of Django and PostgreSQL without a network. The straightforward
list is what one writes first: a stock ``ModelAdmin`` with the same columns and filters, Django's paginator, and the order
computed by the query; it is asked for fewer pages, because each takes long.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

# In place of this folder, whose names must not hide modules.
sys.path[0] = str(Path(__file__).resolve().parent.parent)
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("LOG_LEVEL", "ERROR")
os.environ["DEBUG"] = "false"

import django  # noqa: E402

django.setup()

from django.conf import settings  # noqa: E402
from django.contrib import admin  # noqa: E402
from django.contrib.auth.models import Group  # noqa: E402
from django.db import connection  # noqa: E402
from django.db.models import F, QuerySet  # noqa: E402
from django.http import HttpRequest  # noqa: E402
from django.test import Client, override_settings  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from django.urls import include, path  # noqa: E402
from guardian.shortcuts import assign_perm  # noqa: E402

from apps.actions.models import ActionCard, RuleVersion  # noqa: E402
from apps.core.models import Scope, User  # noqa: E402
from apps.core.roles import Role  # noqa: E402

SCOPES = 20
QUEUE = "/admin/actions/actioncard/"


class PlainAdmin(admin.ModelAdmin):
    """The list that one writes first."""

    list_display = (
        "kind", "target", "draft", "expected_impact", "confidence", "risk_tier", "score", "opened_at", "scope",
    )  # fmt: skip
    list_filter = ("status", "kind", "risk_tier", "scope")
    list_per_page = 50
    search_fields = ("target", "subject")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ActionCard]:
        cards = super().get_queryset(request).filter(status__in=["open", "failed"])
        return cards.annotate(expected=F("expected_loss") * F("confidence") * F("ease")).order_by("-expected")

    def score(self, card: Any) -> str:
        return f"{card.expected:,.0f}"


plain = admin.AdminSite(name="plain")
plain.register(ActionCard, PlainAdmin)
urlpatterns = [path("plain/", plain.urls), path("", include("config.urls"))]

_FILL = """
    INSERT INTO actions_actioncard (
        rule, rule_version_id, kind, mitigation, escalation, rollback_plan, status, version, opened_at, changed_at,
        closed_at, outcome, outcome_reason, subject, scope_id, target, draft, message, rationale, evidence, observed_at,
        expected_impact, currency, expected_loss, confidence, ease, risk_tier, can_execute, fingerprint
    )
    SELECT 'order-ageing', %(version)s,
        (ARRAY['order-aging-alert', 'carrier-delay-alert', 'refund-anomaly-alert', 'fraud-pattern-alert'])[1 + n %% 4],
        'Write to the customer.', 'When the stock is missing.', 'Write again.',
        CASE WHEN waits THEN CASE WHEN n %% 50 = 0 THEN 'failed' ELSE 'open' END
            ELSE (ARRAY['resolved', 'dismissed', 'executed', 'escalated'])[1 + n %% 4] END,
        1, opened, opened, CASE WHEN waits THEN NULL ELSE opened + interval '5 hours' END,
        CASE WHEN NOT waits AND n %% 4 = 1 THEN 'benign' ELSE '' END, '', 'order:' || n, scopes[1 + abs(hashint4(n)) %% %(scopes)s],
        'Order #' || n, 'Order #' || n || ' has been unfulfilled for ' || n %% 9 || ' days.', 'Hello, your order is late.',
        'It exceeds our promise of 3 days.',
        jsonb_build_array(jsonb_build_object('source', 'shopify', 'requestId', 'shopify-order-query-20260301-' || n,
            'query', 'orders.list', 'timestamp', opened, 'data', jsonb_build_object('orderId', n))),
        opened, impact, 'USD', impact, (50 + n %% 50) / 100.0, 1 + n %% 5,
        (ARRAY['low', 'safety', 'policy'])[1 + n %% 3], n %% 3 > 0, md5(n::text)
    FROM (
        SELECT n, n %% 1000 < %(waiting)s AS waits, now() - n * interval '20 seconds' AS opened,
            (10 + (n::bigint * 7919) %% 98993 / 100.0)::numeric(14, 2) AS impact, %(ids)s::bigint[] AS scopes
        FROM generate_series(%(first)s, %(last)s) AS n
    ) AS made
"""


@dataclass(frozen=True)
class Page:
    """One page to ask for, by whom."""

    title: str
    url: str
    who: User
    requests: int


@contextmanager
def scratch_database(keep: bool) -> Iterator[None]:
    """An empty, migrated database of our own, dropped at the end."""
    former = connection.settings_dict["NAME"]
    connection.settings_dict.setdefault("TEST", {})["NAME"] = f"test_{former}_bench_queue"
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        yield
    finally:
        if keep:
            print(f"kept: {connection.settings_dict['NAME']}")
        else:
            connection.creation.destroy_test_db(former, verbosity=0)


def fill(cards: int, waiting: float) -> None:
    """Make the cards, 100,000 at a time."""
    scopes = [Scope.objects.create(slug=f"shop-{n}", name=f"Shop {n}").pk for n in range(SCOPES)]
    version = RuleVersion.objects.create(
        rule="order-ageing", number=1, settings={}, reason="Benchmark", created_at="2026-01-01T00:00Z"
    )
    begun = perf_counter()
    with connection.cursor() as cursor:
        for first in range(1, cards + 1, 100_000):
            last = min(first + 99_999, cards)
            values = {"version": version.pk, "scopes": SCOPES, "ids": scopes, "waiting": round(waiting * 1000)}
            cursor.execute(_FILL, values | {"first": first, "last": last})
            print(f"\r{last:,} cards, {perf_counter() - begun:.0f} s", end="", flush=True)
        cursor.execute("VACUUM ANALYZE actions_actioncard")
    print(f"\r{cards:,} cards made in {perf_counter() - begun:.0f} s, {waiting:.0%} of them waiting")


def people() -> tuple[User, User]:
    """One who sees everything, and an operator of two shops."""
    everyone = User.objects.create_superuser("everything", "a@example.com", "secret")
    operator = User.objects.create_user("operator", "b@example.com", "secret", is_staff=True)
    operator.groups.add(Group.objects.get(name=Role.OPERATOR))
    for scope in Scope.objects.order_by("pk")[:2]:
        assign_perm("core.work_in_scope", operator, scope)
    return everyone, operator


@dataclass(frozen=True)
class Measured:
    """Milliseconds from asking to the whole answer, of them this process's own work, and how many queries."""

    middle: float
    high: float
    own: float
    queries: int


def measure(page: Page) -> Measured:
    """Ask once to warm up and to count queries, then as often as the page says."""
    client = Client()
    client.force_login(page.who)
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(page.url)
    asked = len(queries)  # now, for the next request empties the log
    if answer.status_code != 200:
        raise SystemExit(f"{page.url} answered {answer.status_code}")
    took, own = zip(*(_timed(lambda: client.get(page.url)) for _ in range(page.requests)), strict=True)
    high = statistics.quantiles(took, n=20, method="inclusive")[-1]
    return Measured(statistics.median(took), high, statistics.median(own), asked)


def _timed(ask: Callable[[], object]) -> tuple[float, float]:
    begun, worked = perf_counter(), process_time()
    ask()
    return (perf_counter() - begun) * 1000, (process_time() - worked) * 1000


def pages(requests: int, cards: int) -> list[Page]:
    """What is asked for."""
    everyone, operator = people()
    some = ActionCard.objects.queue().values_list("pk", flat=True)[0]
    ours = [
        ("queue, all shops", QUEUE, everyone),
        ("queue, an operator of 2 of 20 shops", QUEUE, operator),
        ("queue, one tier", f"{QUEUE}?risk_tier__exact=policy", everyone),
        ("queue, page 20", f"{QUEUE}?p=20", everyone),
        ("queue, search that finds one", f"{QUEUE}?q=%23{cards // 1000 * 1000 - 999}", everyone),
        ("queue, every state", f"{QUEUE}?status=all", everyone),
        ("card", f"{QUEUE}{some}/change/", everyone),
        ("dashboard", f"{QUEUE}dashboard/", everyone),
        ("home page", "/admin/", everyone),
        ("API, first page", "/api/cards/", operator),
    ]
    listed = [Page(title, url, who, requests) for title, url, who in ours]
    few = max(3, requests // 20)
    return [*listed, Page("straightforward list, all shops", "/plain/actions/actioncard/", everyone, few)]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the operators' queue.")
    parser.add_argument("--cards", type=int, default=1_000_000)
    parser.add_argument("--waiting", type=float, default=0.1, help="share of cards that wait for an operator")
    parser.add_argument("--requests", type=int, default=100, help="requests for each page")
    parser.add_argument("--keep", action="store_true", help="keep the scratch database")
    options = parser.parse_args()
    with scratch_database(options.keep), override_settings(**_settings()):
        fill(options.cards, options.waiting)
        print(f"{'page':<40} {'p50 ms':>8} {'p95 ms':>8} {'of it Python':>13} {'queries':>8}")
        for page in pages(options.requests, options.cards):
            found = measure(page)
            print(
                f"{page.title:<40} {found.middle:>8.1f} {found.high:>8.1f} {found.own:>13.1f} {found.queries:>8}",
                flush=True,
            )


def _settings() -> dict[str, Any]:
    limits = dict.fromkeys(settings.RATE_LIMITS, "1000000/minute")
    return {"ROOT_URLCONF": __name__, "RATE_LIMITS": limits, "ALLOWED_HOSTS": ["testserver"]}


if __name__ == "__main__":
    main()
