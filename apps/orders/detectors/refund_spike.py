"""Refund spike: more refunds on a day than chance explains, for a store or a product."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from pydantic import Field

from apps.actions.rules import Hit, RuleSettings, Subjects, detector
from apps.core.numbers import plural
from apps.orders.findings import Group, count_of, percent, refund_hit, touched
from apps.orders.models import Product, Store
from apps.orders.refund_days import History, Weights, histories, paid_back, products_due, refunded
from apps.orders.statistics import benjamini_hochberg, spike_probability


class Settings(RuleSettings):
    """What is compared with what, and how sure it must be."""

    false_discoveries: float = Field(
        0.01, gt=0, le=0.5, title="False discoveries",
        description="Share (0 to 1) of a day's findings that may be chance, over a store and all of its products.",
    )  # fmt: skip
    minimum_refunds: int = Field(
        2, ge=1, le=1000, title="Minimum refunds", description="Refunds of the day below which nothing is a spike."
    )
    baseline_days: int = Field(
        90, ge=14, le=730, title="Baseline", description="Days before the judged one that are normal."
    )
    longest_lag: int = Field(
        45, ge=1, le=365, title="Longest lag", description="Days after the order up to which its refunds are compared."
    )
    minimum_orders: int = Field(
        200, ge=1, le=1_000_000, title="Minimum baseline orders",
        description="Orders due in the baseline below which it is thin and nothing is judged.",
    )  # fmt: skip
    shown_days: int = Field(
        3,
        ge=1,
        le=14,
        title="Shown",
        description="Complete days for which a spike stays on the queue; each is judged once.",
    )
    products: bool = Field(True, title="Products too", description="Judge each product besides the store as a whole.")


@dataclass(frozen=True, slots=True)
class Trial:
    """Counts of one subject on one day, and how probable they are; without a probability it was not judged."""

    store: Store
    subject: str
    day: date
    refunds: int
    orders: int
    baseline_refunds: int
    baseline_orders: int
    tests: int = 1
    probability: float | None = None


@detector(
    slug="refund-spike",
    title="Refund spike",
    kind="refund-anomaly-alert",
    settings=Settings,
    events=frozenset({"refund.created"}),
    once_a_day=True,
    mitigation="Look at what was refunded that day: one product, one batch, one reason, or one member of staff?",
    escalation="Escalate when the next day is a spike as well, or a faulty product or fraud is likely.",
    rollback="Review refund policy and customer communication. Investigate root cause.",
)
def detect(*, now: datetime, settings: Settings, subjects: Subjects | None) -> Iterator[Hit]:
    """Stores and products with more refunded orders on a complete day than their baseline explains.

    The day's refunds are compared with the orders that were due on it at equal age. The probability of so many or more is
    that of a beta-binomial distribution with the counts of the baseline; over a store and its products the false discovery
    rate is controlled. With too thin a baseline nothing is judged, and a low card says so. The money at risk is what was
    paid back on the day.
    """
    days = settings.shown_days + settings.baseline_days + settings.longest_lag
    stores = Store.objects.filter(touched(subjects).where("store", "pk"))
    found = histories(stores, now, days, settings.longest_lag, products=settings.products)
    best: dict[str, Trial] = {}
    for judged in range(days - settings.shown_days, days):
        for test in _stand(found, judged, now, settings):
            rival = best.get(test.subject)
            if rival is None or _rank(test) <= _rank(rival):
                best[test.subject] = test
    yield from _hits(list(best.values()), now, settings)


def _rank(test: Trial) -> float:
    return 2.0 if test.probability is None else test.probability


def _stand(found: list[History], judged: int, now: datetime, settings: Settings) -> Iterator[Trial]:
    """The tests of a day that stand, and stores whose baseline is too thin for the refunds of the day."""
    baseline = range(judged - settings.baseline_days, judged)
    families, weights = [], Weights()
    for history in found:
        shares = history.shares(baseline, settings.longest_lag)
        whole = _store_test(history, judged, baseline, history.due(shares))
        families.append((history, whole))
        if whole.refunds >= settings.minimum_refunds and settings.products:
            weights.add(history, judged, baseline, shares)
    due = products_due(weights, now)
    for history, whole in families:
        if whole.refunds < settings.minimum_refunds:
            continue  # its products cannot have more
        if whole.baseline_orders < settings.minimum_orders:
            yield whole
            continue
        own = due[history.store.pk]
        products = [_product_test(history, product, judged, baseline, own) for product in history.products]
        # Products that were never refunded are tests as well, which nothing can come of.
        silent = [base for product, (base, _) in own.items() if product not in history.products]
        yield from _family(
            [whole, *(test for test in products if test.baseline_orders >= settings.minimum_orders)],
            sum(base >= settings.minimum_orders for base in silent),
            settings,
        )


def _family(tests: list[Trial], silent: int, settings: Settings) -> Iterator[Trial]:
    """Those of a family of tests that stand when the false discovery rate is controlled."""
    chances = [
        spike_probability(test.refunds, test.orders, test.baseline_refunds, test.baseline_orders) for test in tests
    ]
    stands = benjamini_hochberg([*chances, *[1.0] * silent], settings.false_discoveries)
    for test, chance, stand in zip(tests, chances, stands, strict=False):
        if stand and test.refunds >= settings.minimum_refunds:
            yield Trial(
                test.store, test.subject, test.day, test.refunds, test.orders, test.baseline_refunds,
                test.baseline_orders, len(stands), chance,
            )  # fmt: skip


def _store_test(history: History, judged: int, baseline: range, due: list[float]) -> Trial:
    base = sum(due[baseline.start : baseline.stop])
    counts = refunded(history.refunds, range(judged, judged + 1)), refunded(history.refunds, baseline)
    return _test(history, f"store:{history.store.pk}", judged, counts, (base, due[judged]))


def _product_test(
    history: History, product: int, judged: int, baseline: range, due: dict[int, tuple[float, float]]
) -> Trial:
    refunds = history.products[product]
    counts = refunded(refunds, range(judged, judged + 1)), refunded(refunds, baseline)
    return _test(history, f"product:{product}", judged, counts, due.get(product, (0.0, 0.0)))


def _test(history: History, subject: str, judged: int, counts: tuple[int, int], due: tuple[float, float]) -> Trial:
    """Round the orders due; there are never fewer than were refunded."""
    (refunds, known), (base, day) = counts, due
    return Trial(
        history.store, subject, history.day(judged), refunds, max(refunds, round(day)), known, max(known, round(base))
    )


def _hits(tests: list[Trial], now: datetime, settings: Settings) -> Iterator[Hit]:
    if not tests:
        return
    products = [int(test.subject.partition(":")[2]) for test in tests if test.subject.startswith("product:")]
    titles = dict(Product.objects.filter(pk__in=products).values_list("pk", "title"))
    since = now - timedelta(days=settings.shown_days + 2)
    money = paid_back({test.store.pk for test in tests}, products, since, now)
    for test in tests:
        kind, _, key = test.subject.partition(":")
        name = titles[int(key)] if kind == "product" else test.store.name
        yield _hit(test, name, money.get((test.subject, test.day)) or Group(test.store.pk, None), now, settings)


def _hit(test: Trial, name: str, found: Group, now: datetime, settings: Settings) -> Hit:
    counts = count_of(test.refunds, test.orders)
    base = f"{percent(test.baseline_refunds / max(test.baseline_orders, 1))} of {test.baseline_orders:,}"
    thin = test.probability is None
    pattern = "Baseline thin, not judged" if thin else "Refund spike"
    if thin:
        rationale = (
            f"{plural(test.refunds, 'refund')} ({counts} orders due) cannot be judged: the baseline of {base} orders due in "
            f"{settings.baseline_days} days is below the {settings.minimum_orders:,} that are needed."
        )
    else:
        rationale = (
            f"{counts} orders due were refunded on {test.day:%Y-%m-%d}, baseline {base}; so many are expected by chance with "
            f"probability {test.probability:.2g}. This may indicate product quality issues, fraud, or policy abuse."
        )
    return refund_hit(
        store=test.store,
        subject=test.subject,
        pattern=f"{pattern} ({name})",
        draft=f"Refund anomaly detected: {counts} orders due refunded at {name}, baseline {base}. "
        f"{plural(test.refunds, 'refund')} on {test.day:%Y-%m-%d}. Pattern: {pattern}",
        rationale=rationale,
        data={
            "day": test.day.isoformat(),
            "refundCount": test.refunds,
            "ordersDue": test.orders,
            "baselineRefunds": test.baseline_refunds,
            "baselineOrders": test.baseline_orders,
            "baselineDays": settings.baseline_days,
            "judged": not thin,
            "probability": test.probability,
            "tests": test.tests,
            **found.as_json(),
        },
        observed_at=found.observed_at or now,
        impact=found.sums.main(test.store.currency),
        confidence="0.30" if thin else "0.90",
        tier="low" if thin else "policy",
    )
