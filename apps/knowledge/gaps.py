"""What people ask and no article answers: grouped, ranked by how many customers ask, and closed when it is answered.

A question joins the gap whose middle is nearest, if it is near enough, else it begins one. A gap ends when the search
answers its questions, and opens again when one of its kind is missed after that.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.db import connection, transaction
from django.db.models import Count, Max, Min, Q, QuerySet

from apps.core.audit import said_by
from apps.core.models import User
from apps.knowledge import rights
from apps.knowledge.answers import find
from apps.knowledge.calibration import current_settings
from apps.knowledge.drafts import create_article
from apps.knowledge.models import ArticleVersion, AskedQuestion, Category, Gap
from apps.knowledge.refusals import WrongState
from apps.knowledge.search.embedding import Embedder, EmbeddingFailed, Vectors
from apps.knowledge.search.in_use import model_in_use
from apps.knowledge.search.retrieve import Reader

ALIKE = 0.62
"""Cosine from which a question belongs to a gap; at it two of three paraphrases of one question come together."""
BATCH = 200
SAMPLE = 10
"""The latest questions of a gap that are asked again to see whether it is closed."""
ANSWERED, LOST = 0.7, 0.5
"""The share of them from which it closes, and below which it opens again; apart, so that it does not flutter."""
WATCHED = timedelta(days=365)
"""For so long after it was closed a gap may open again by itself."""
_LOCK = 5_310_077  # of an advisory lock, any constant

MISSED = ("not_sure", "escalated", "unhelpful")


def missed() -> QuerySet[AskedQuestion]:
    """Questions that were not answered and belong to no gap yet. Attacks are none, for nobody wants them answered."""
    return AskedQuestion.objects.filter(gap__isnull=True, outcome__in=MISSED, attack=False).exclude(text="")


def collect(*, most: int = 2_000) -> int:
    """Put missed questions into gaps, oldest first; without the embedding model they wait.

    Returns:
        how many were put into one.
    """
    model = model_in_use()
    done = 0
    with suppress(EmbeddingFailed):  # it is counted and logged where it fails; the questions wait for the next turn
        if model is not None:
            _move_gaps(model)
        while model is not None and done < most:
            batch = list(missed().order_by("asked_at", "pk")[:BATCH])
            if not batch:
                break
            _put(batch, model([question.text for question in batch]), model)
            done += len(batch)
    return done


def _move_gaps(model: Embedder) -> None:
    """Give the gaps of a former embedding model their middles by this one: vectors of two models do not compare."""
    for gap in Gap.objects.exclude(model=model.name):
        asked = list(AskedQuestion.objects.filter(gap=gap).exclude(text="").order_by("-asked_at")[:BATCH])
        if not asked:
            continue
        vectors = model([question.text for question in asked])
        for question, vector in zip(asked, vectors, strict=True):
            question.vector = vector.tolist()
        middle = vectors.mean(axis=0)
        centre = (middle / max(float(np.linalg.norm(middle)), 1e-9)).tolist()
        with transaction.atomic():
            AskedQuestion.objects.filter(gap=gap).update(vector=None)
            AskedQuestion.objects.bulk_update(asked, ["vector"], batch_size=BATCH)
            Gap.objects.filter(pk=gap.pk).update(centre=centre, model=model.name)


@transaction.atomic
def _put(batch: Sequence[AskedQuestion], vectors: Vectors, model: Embedder) -> None:
    with connection.cursor() as cursor:  # two at once would each begin a gap for the same question
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    gaps = {gap.pk: gap for gap in Gap.objects.filter(model=model.name, centre__isnull=False)}
    middles = {pk: np.array(_numbers(gap.centre), np.float32) for pk, gap in gaps.items()}
    sizes = {pk: gap.questions for pk, gap in gaps.items()}
    touched: set[int] = set()
    for question, vector in zip(batch, vectors, strict=True):
        pk = _nearest(vector, middles)
        if pk is None:
            gap = Gap.objects.create(
                title=question.text[:300], model=model.name, first_at=question.asked_at, last_at=question.asked_at
            )
            pk, middles[gap.pk], sizes[gap.pk] = gap.pk, vector, 0
        moved = middles[pk] * sizes[pk] + vector
        middles[pk], sizes[pk] = moved / max(float(np.linalg.norm(moved)), 1e-9), sizes[pk] + 1
        question.gap_id, question.vector = pk, vector.tolist()
        touched.add(pk)
    AskedQuestion.objects.bulk_update(batch, ["gap", "vector"], batch_size=BATCH)
    for pk in sorted(touched):
        _tell(pk, middles[pk])


def _numbers(vector: object) -> list[float]:
    """A stored vector as numbers, whichever of its forms the driver gives."""
    return vector.to_list() if hasattr(vector, "to_list") else list(vector)  # type: ignore[call-overload]


def _nearest(vector: Vectors, middles: dict[int, Vectors]) -> int | None:
    if not middles:
        return None
    keys = list(middles)
    near = np.stack([middles[key] for key in keys]) @ vector
    best = int(near.argmax())
    return keys[best] if near[best] >= ALIKE else None


def _tell(pk: int, middle: Vectors) -> None:
    """Bring a gap's figures up to date, name it by the question nearest to its middle, and open it if it was closed."""
    gap = Gap.objects.select_for_update().get(pk=pk)
    asked = AskedQuestion.objects.filter(gap=gap)
    facts = asked.aggregate(
        questions=Count("pk"),
        customers=Count("customer", distinct=True, filter=~Q(customer="")),
        strangers=Count("pk", filter=Q(customer="")),
        first=Min("asked_at"),
        last=Max("asked_at"),
    )
    gap.questions, gap.first_at, gap.last_at = facts["questions"], facts["first"], facts["last"]
    gap.customers = facts["customers"] + facts["strangers"]
    gap.centre = middle.tolist()
    said = [(text, vector) for text, vector in asked.exclude(vector=None).values_list("text", "vector")[:BATCH]]
    gap.title = max(said, key=lambda pair: float(np.dot(_numbers(pair[1]), middle)))[0][:300]
    if gap.state == Gap.State.CLOSED and gap.closed_at and gap.last_at > gap.closed_at:
        gap.state, gap.closed_at, gap.reopened = Gap.State.OPEN, None, gap.reopened + 1
    gap.save()


def recheck(now: datetime) -> int:
    """Ask the latest questions of each gap again: close those that are answered now, open those that are no longer.

    Returns:
        how many were closed.
    """
    settings, closed = current_settings(), 0
    for gap in Gap.objects.filter(Q(closed_at=None) | Q(closed_at__gt=now - WATCHED)).order_by("pk"):
        asked = list(AskedQuestion.objects.filter(gap=gap).order_by("-asked_at")[:SAMPLE])
        sure = sum(find(one.text, _reader(one), settings).confidence >= settings.answer_at for one in asked)
        if gap.closed_at is None and asked and sure >= ANSWERED * len(asked):
            _change(gap, "Its questions are answered now", state=Gap.State.CLOSED, closed_at=now)
            closed += 1
        elif gap.closed_at is not None and sure < LOST * len(asked):
            again = gap.reopened + 1
            _change(gap, "Its questions are no longer answered", state=Gap.State.OPEN, closed_at=None, reopened=again)
    return closed


def _change(gap: Gap, reason: str, **facts: Any) -> None:
    for name, value in facts.items():
        setattr(gap, name, value)
    with said_by("system:check_gaps", reason):
        gap.save(update_fields=list(facts))


def _reader(asked: AskedQuestion) -> Reader:
    """Whoever asked, as far as it is known: the gap is closed for those who asked, not for staff alone."""
    scopes = (asked.scope_id,) if asked.scope_id else ()
    return Reader(internal=asked.audience == "internal", scopes=scopes, language=asked.language)


def draft_article(
    *, gap_id: int, category: Category, actor: User, now: datetime, replies: Sequence[str] = ()
) -> ArticleVersion:
    """Begin an article for a gap: its question as the title, the ways it was asked, and what agents replied as notes.

    Args:
        replies: what agents said to those who asked, redacted.

    Raises:
        NotAllowed: the role writes no articles.
        WrongState: one is being written already, or the gap is closed.
    """
    rights.require(actor.is_active and actor.has_perm(rights.ADD))
    with transaction.atomic():
        gap = Gap.objects.select_for_update().get(pk=gap_id)
        if gap.state != Gap.State.OPEN:
            raise WrongState(f"The gap is not open: {gap.get_state_display().lower()}.")
        asked = list(
            dict.fromkeys(AskedQuestion.objects.filter(gap=gap).order_by("-asked_at").values_list("text", flat=True))
        )
        version = create_article(
            category=category,
            title=gap.title[:200],
            body=_notes(asked, replies),
            questions=[text for text in asked[:20] if len(text) <= 300],
            actor=actor,
            now=now,
        )
        gap.article, gap.state = version.article, Gap.State.DRAFTED
        with said_by(actor, "An article is begun"):
            gap.save(update_fields=["article", "state"])
    return version


def _notes(asked: Sequence[str], replies: Sequence[str]) -> str:
    """What to start from; the writer replaces it."""
    lines = ["Write the answer here.", "", "## Notes for the writer: take them out", "", "People asked:", ""]
    lines += [f"- {' '.join(text.split())}" for text in asked[:20]]
    if replies:
        lines += ["", "Agents replied:", "", *[f"> {' '.join(text.split())}" for text in replies[:10]]]
    return "\n".join(lines)
