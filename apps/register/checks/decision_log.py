"""The decision log: its chain is whole, and the database refuses to change it."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import DatabaseError, connection, transaction

from apps.core import decisions
from apps.core.models import Decision
from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site

KEPT = ("core_decision", "register_rating", "register_attestation", "register_checkresult")
_GUARDED = """
    SELECT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND (t.tgtype & 16) > 0 AND (t.tgtype & 2) > 0
        AND c.relname = ANY(%s) AND c.relnamespace = 'public'::regnamespace
"""


@check(
    slug="decision-log",
    title="The chain of decisions is whole",
    every=timedelta(hours=12),
    mitigation="Run manage.py verify_decision_log, and compare with the head that was kept elsewhere.",
)
def look(*, now: datetime, settings: CheckSettings, site: Site) -> Finding:
    """Computes every hash of the chain again, and tries to change an entry, which the database must refuse."""
    *_, result = decisions.verify()
    failures = [] if result.whole else [f"The chain breaks at entry {result.broken_at}: {result.reason}."]
    with connection.cursor() as cursor:
        cursor.execute(_GUARDED, [list(KEPT)])
        guarded = {name for (name,) in cursor.fetchall()}
    bare = [table for table in KEPT if table not in guarded]
    if bare:
        failures.append(f"No trigger keeps {', '.join(bare)} from being changed.")
    if _can_be_changed():
        failures.append("An entry could be changed.")
    seq, digest = result.head
    return concluded(
        f"{result.checked} entries follow from each other; changes are refused.",
        failures=failures,
        facts={"checked": result.checked, "headSeq": seq, "headHash": digest[:16], "brokenAt": result.broken_at},
        query="every row of the decision log, and an UPDATE of the last",
    )


def _can_be_changed() -> bool:
    last = Decision.objects.order_by("-seq").first()
    if last is None:
        return False
    try:
        with transaction.atomic():
            return Decision.objects.filter(pk=last.pk).update(action="tampered") > 0
    except DatabaseError:
        return False
