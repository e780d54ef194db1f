"""Monitoring: orders are judged on time, rules do not fail, and alerts reach somebody."""

from __future__ import annotations

from datetime import datetime, timedelta

from apps.actions.freshness import LATE, last_good_runs
from apps.actions.models import RuleRun, RuleVersion
from apps.actions.rules import rules
from apps.core.numbers import plural
from apps.core.roles import Role, people_with
from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site


@check(
    slug="monitoring-alive",
    title="Orders are judged, and somebody is told",
    every=timedelta(minutes=15),
    mitigation="Follow the runbook “Monitoring is down”; see the error of a failing rule under Rules.",
)
def look(*, now: datetime, settings: CheckSettings, site: Site) -> Finding:
    """Reads when each rule last judged everything with success, which failed last, and who would be told of an alert."""
    newest = RuleVersion.objects.order_by("rule", "-number").distinct("rule")
    off = {version.rule for version in newest if not version.enabled}
    judging = [rule for rule in rules if rule.slug not in off and not rule.watch]
    good = last_good_runs(rule.slug for rule in judging)
    silent = []
    for rule in judging:
        allowed = timedelta(days=1) + LATE if rule.once_a_day else LATE
        if rule.slug not in good or now - good[rule.slug] > allowed:
            silent.append(rule.slug)
    last = (
        RuleRun.objects.filter(started_at__gte=now - timedelta(days=2)).order_by("rule", "-started_at").distinct("rule")
    )
    failing = sorted(run.rule for run in last if run.status == RuleRun.Status.FAILED)
    told = people_with(Role.OPERATOR, Role.ADMINISTRATOR).exclude(email="").count()
    failures = [f"Not judged in time: {', '.join(silent)}."] if silent else []
    failures += [f"Failed at their last run: {', '.join(failing)}."] if failing else []
    failures += [] if told else ["No operator or administrator with an address would be told of an alert."]
    return concluded(
        f"{plural(len(judging), 'rule judges', 'rules judge')} on time; {plural(told, 'person', 'people')} would be told.",
        failures=failures,
        warnings=[f"{len(off)} rules are off."] if off else [],
        facts={"rules": len(judging), "silent": silent, "failing": failing, "off": sorted(off), "told": told},
        query="last good run of each rule",
    )
