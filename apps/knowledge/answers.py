"""Answering a question: an article, a choice of a few, or that nobody is sure."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

import structlog
from django.conf import settings as project
from django.core.cache import cache
from django.db import connection
from redis import RedisError

from apps.core.models import Scope
from apps.core.redaction import redact
from apps.knowledge.abuse import noticed
from apps.knowledge.calibration import current_settings
from apps.knowledge.metrics import answers_total
from apps.knowledge.models import AnswerSettings, ArticleVersion, AskedQuestion, Passage
from apps.knowledge.search.confidence import Calibration, confidence, ordered
from apps.knowledge.search.embedding import EmbeddingFailed, Vectors
from apps.knowledge.search.in_use import model_in_use
from apps.knowledge.search.retrieve import Candidate, Reader, candidates
from apps.knowledge.writer import Source, rephrased, writer

logger = structlog.get_logger(__name__)

CHOICES = 3
"""Articles that are offered when none is sure enough."""
SOURCES = 6
"""Parts of the answering article that a writer may rephrase."""
LONGEST = 1_000
"""Characters of a question; more is not a question."""
_SAYS = re.compile(r"\w")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
KEPT = 300
"""Seconds that a found answer is kept for the same question of the same kind of reader."""
_SHAPE = 2
"""Counts the shapes of :class:`Answer`, so that nothing kept by another release is read."""
WITHOUT_VECTORS = "Answered without vectors: the embedding model is not there."
MODEL_FAILED = "Answered without vectors: the embedding model failed."
OTHER_MODEL = "Answered with thresholds that were calibrated for another embedding model."


class Outcome(StrEnum):
    """What became of a question."""

    ANSWER = "answer"
    CHOOSE = "choose"
    NOT_SURE = "not_sure"


@dataclass(frozen=True, slots=True)
class Hit:
    """An article that may answer.

    Attributes:
        score: comparable within one question only.
        passage: the part of its body that fits best.
    """

    article: int
    version: int
    slug: str
    title: str
    heading: str
    passage: str
    updated_at: datetime | None
    score: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said to a question.

    Attributes:
        hits: for an answer its article, for a choice up to :data:`CHOICES`, else none.
        text: what is said: for an answer the article's own words, or those of the writer if it rephrased them; else empty.
        rephrased: whether a model wrote the text.
        cited: what a model's text rests on, as headings of parts of the article; empty for the article's own words.
        confidence: the probability that the best article answers, 0 to 1.
        settings: number of the :class:`~apps.knowledge.models.AnswerSettings` that decided.
        degraded: what was missing while it was answered, or empty.
        asked: id of the kept question, or None if it was not to be kept.
    """

    outcome: Outcome
    hits: tuple[Hit, ...]
    confidence: float
    settings: int
    degraded: str
    text: str = ""
    rephrased: bool = False
    cited: tuple[str, ...] = ()
    asked: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """Candidates in order with their scores, before anything is decided."""

    ranked: tuple[tuple[Candidate, float], ...]
    confidence: float
    degraded: str


def find(question: str, reader: Reader, settings: AnswerSettings, vector: Vectors | None = None) -> Found:
    """The articles that may answer, the best first; nothing is kept. Without a model that runs, words alone find them.

    Args:
        vector: of the question by the model in use, if it is known already.
    """
    model = model_in_use()
    learnt = Calibration.model_validate(settings.calibration)
    degraded = "" if model else WITHOUT_VECTORS
    try:
        found, asked = candidates(question, reader, model, vector)
    except EmbeddingFailed:
        model, degraded = None, MODEL_FAILED
        found, asked = candidates(question, reader, None)
    if model and settings.model not in ("", model.name):
        degraded = OTHER_MODEL
    weights = learnt.vectors if model else learnt.words
    ranked = ordered(found, weights)
    return Found(tuple(ranked), confidence(ranked, asked, weights), degraded)


def answer(
    question: str,
    *,
    reader: Reader,
    source: str,
    now: datetime,
    customer: str = "",
    scope: Scope | None = None,
    keep: bool = True,
) -> Answer:
    """Answer a question from the published articles that the reader may see.

    Runs the embedding model: not to be called within a transaction.

    Args:
        question: as it was asked; cut at :data:`LONGEST` characters.
        reader: who asks.
        source: where it was asked, such as ``help_centre`` or ``conversation:7``.
        customer: what tells customers apart; only a keyed hash of it is kept.
        scope: where the question belongs, for who sees it among the asked ones.
        keep: whether the question is kept (redacted) with what became of it; one without a letter or digit never is, for
            nobody can write an article for it.
    """
    question = _UNSTORABLE.sub(" ", question)[:LONGEST]
    state = _state()
    said = _kept_answer(question, reader, state)
    answers_total.labels(said.outcome.value, "yes" if said.degraded else "no").inc()
    if not keep or not _SAYS.search(question):
        return said
    row = _keep(question, said, state, reader=reader, source=source, customer=customer, scope=scope, now=now)
    return replace(said, asked=row.pk)


@dataclass(frozen=True, slots=True)
class _State:
    """What an answer depends on beside the question: the settings in force, and the generation of the index."""

    settings: int
    number: int
    generation: int | None


_STATE = """
SELECT settings.id, settings.number, (SELECT generation FROM knowledge_searchindex) FROM knowledge_answersettings settings
ORDER BY settings.model = '' OR coalesce(settings.model = (SELECT model FROM knowledge_searchindex), false) DESC,
         settings.number DESC LIMIT 1
"""
"""The choice is that of :func:`~apps.knowledge.calibration.current_settings`, in one statement for all that is asked again."""


def _state() -> _State:
    with connection.cursor() as cursor:
        cursor.execute(_STATE)
        row = cursor.fetchone()
        if row is None:
            current_settings()  # makes the first
            cursor.execute(_STATE)
            row = cursor.fetchone()
    return _State(*row)


def _kept_answer(question: str, reader: Reader, state: _State) -> Answer:
    """The answer to the same question, if neither the index nor the settings have changed since; else a new one."""
    facts = (" ".join(question.lower().split()), reader, state.number, state.generation)
    key = f"knowledge:{_SHAPE}:{hashlib.sha256(repr(facts).encode()).hexdigest()}"
    held = _remembered(key)
    if held is None:
        settings = AnswerSettings.objects.get(pk=state.settings)
        held = _said(question, _decide(find(question, reader, settings), settings))
        if not held.degraded:  # the next one may be better
            _remember(key, held)
    return held


def _remembered(key: str) -> Answer | None:
    """What was kept; nothing while Valkey is down, for answers go on without it."""
    try:
        held: Answer | None = cache.get(key)
    except RedisError as error:
        logger.warning("answers_not_kept", error=type(error).__name__)
        return None
    return held


def _remember(key: str, said: Answer) -> None:
    with suppress(RedisError):
        cache.set(key, said, KEPT)


def _said(question: str, found: Answer) -> Answer:
    """The answer with its words: the article's, or the writer's if there is one and the article supports them."""
    if found.outcome != Outcome.ANSWER:
        return found
    hit = found.hits[0]
    write = writer()
    if write is not None:
        parts = list(Passage.objects.filter(version=hit.version, kind=Passage.Kind.BODY).order_by("position")[:SOURCES])
        sources = [Source(number, hit.title, part.text) for number, part in enumerate(parts, 1)]
        written = rephrased(question, sources, write) if sources else None
        if written is not None:
            cited = tuple(dict.fromkeys(parts[number - 1].heading for number in written.cited))
            return replace(found, text=written.text, rephrased=True, cited=cited)
    return replace(found, text=hit.passage)


def _decide(found: Found, settings: AnswerSettings) -> Answer:
    sure = found.confidence
    if sure >= settings.answer_at and found.ranked:
        outcome, shown = Outcome.ANSWER, found.ranked[:1]
    elif sure >= settings.choose_at and found.ranked:
        outcome, shown = Outcome.CHOOSE, found.ranked[:CHOICES]
    else:
        outcome, shown = Outcome.NOT_SURE, ()
    hits = _hits(shown)
    if shown and not hits:  # taken down between finding and reading
        outcome = Outcome.NOT_SURE
    return Answer(outcome, hits, round(sure, 4), settings.number, found.degraded)


def _hits(shown: Sequence[tuple[Candidate, float]]) -> tuple[Hit, ...]:
    if not shown:
        return ()
    live = ArticleVersion.objects.published().filter(pk__in=[candidate.version for candidate, _ in shown])
    versions = {row[0]: row for row in live.values_list("pk", "article", "article__slug", "title", "published_at")}
    parts = Passage.objects.filter(pk__in=[candidate.passage for candidate, _ in shown])
    passages = {pk: (heading, text) for pk, heading, text in parts.values_list("pk", "heading", "text")}
    found = []
    for candidate, score in shown:
        if candidate.version in versions:
            version, article, slug, title, published_at = versions[candidate.version]
            heading, text = passages.get(candidate.passage, ("", ""))
            found.append(Hit(article, version, slug, title, heading, text, published_at, round(score, 4)))
    return tuple(found)


_OUTCOMES = {
    Outcome.ANSWER: AskedQuestion.Outcome.ANSWERED,
    Outcome.CHOOSE: AskedQuestion.Outcome.CHOSEN,
    Outcome.NOT_SURE: AskedQuestion.Outcome.NOT_SURE,
}


def _keep(
    question: str,
    said: Answer,
    state: _State,
    *,
    reader: Reader,
    source: str,
    customer: str,
    scope: Scope | None,
    now: datetime,
) -> AskedQuestion:
    return AskedQuestion.objects.create(
        text=redact(question, policy="message").text,
        language=reader.language,
        audience="internal" if reader.internal else "public",
        scope=scope,
        source=source,
        customer=hashed(customer),
        outcome=_OUTCOMES[said.outcome],
        versions=[hit.version for hit in said.hits],
        scores=[hit.score for hit in said.hits],
        confidence=said.confidence,
        settings_id=state.settings,
        degraded=said.degraded,
        attack=noticed(question, source=source),
        asked_at=now,
    )


def hashed(customer: str) -> str:
    """What tells customers apart without saying who they are; empty for nobody."""
    if not customer:
        return ""
    return hmac.new(project.SECRET_KEY.encode(), f"knowledge:{customer}".encode(), hashlib.sha256).hexdigest()


def unhelpful(asked: int) -> bool:
    """Mark an answered question: whoever asked says that it did not help. It belongs to a gap from then on.

    Returns:
        whether there was such an answer.
    """
    answered = AskedQuestion.objects.filter(pk=asked, outcome__in=["answered", "chosen"])
    return bool(answered.update(outcome=AskedQuestion.Outcome.UNHELPFUL))


def escalated(asked: int) -> bool:
    """Mark a question that a person took over, because it was not answered."""
    return bool(AskedQuestion.objects.filter(pk=asked).update(outcome=AskedQuestion.Outcome.ESCALATED))


def forget_questions(sources: Collection[str]) -> int:
    """Take the words out of the questions asked from some places, such as ``conversation:4``. Returns how many."""
    return AskedQuestion.objects.filter(source__in=sources).update(text="", vector=None, customer="")
