"""Thresholds are learnt from labelled questions, kept as versions, and hold what they promise."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import DatabaseError, IntegrityError, connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from apps.core.models import Decision
from apps.knowledge.answers import Outcome, answer
from apps.knowledge.calibration import current_settings
from apps.knowledge.models import AnswerSettings, ArticleVersion
from apps.knowledge.search import confidence as learn
from apps.knowledge.search import passages
from apps.knowledge.search.embedding import DELIVERED
from apps.knowledge.search.retrieve import Reader
from tests.knowledge.factories import NOW, VersionFactory, published

SHOP = {
    "Where is my parcel?": "where is my parcel, my package has not come, track my order, when does my parcel arrive",
    "How do I return something?": "how do i return shoes, send something back, i want to return this, returning an item",
    "Can I pay by invoice?": "can i pay by invoice, is invoice possible, pay later by invoice, do you offer invoices",
    "How do I change my password?": "change my password, i forgot my password, new password please, reset the password",
    "Do you ship to other countries?": "ship to norway, do you deliver abroad, shipping to other countries, send it to spain",
    "How do I cancel my subscription?": "cancel my subscription, stop the subscription, end my plan, i want to unsubscribe",
}
STRANGE = (
    "what is the capital of france, tell me a joke, who won the match, how old is the moon, best recipe for soup, "
    "weather tomorrow, translate hello, are you human, play some music, what time is it in tokyo, how tall is a giraffe, "
    "write a poem, who is the president, why is the sky blue, how do plants grow, what is seven times nine, book a flight, "
    "do cats dream, which film is good, how far is mars"
)
LEADS = ("", "hello, ", "please: ")


@pytest.fixture
def shop() -> dict[str, ArticleVersion]:
    found = {title: published(VersionFactory.create(title=title, body="See your account.")) for title in SHOP}
    passages.index([version.article_id for version in found.values()])
    cache.clear()
    return found


@pytest.fixture
def labelled(shop: dict[str, ArticleVersion], tmp_path: Path) -> Path:
    lines = ["question,article"]
    for lead in LEADS:
        for title, version in shop.items():
            lines += [f'"{lead}{way.strip()}",{version.article.slug}' for way in SHOP[title].split(",")]
        lines += [f'"{lead}{text.strip()}",' for text in STRANGE.split(",")]
    file = tmp_path / "questions.csv"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


@pytest.mark.django_db
def test_thresholds_are_chosen_so_that_few_answers_are_wrong(shop: dict[str, ArticleVersion], labelled: Path) -> None:
    before, out = current_settings(), StringIO()
    call_command("calibrate_answers", labelled, "--max-wrong", "0.05", stdout=out)
    made = current_settings()
    assert (before.number, made.number, made.model) == (1, 2, DELIVERED)
    assert made.metrics["questions"] == 132
    assert made.metrics["wrong_of_answered"] <= 0.05
    assert made.metrics["answered"] > 0.3
    assert 0 <= made.metrics["calibration_error"] < 0.25
    assert "calibration_error" in out.getvalue()
    assert "answered:" in out.getvalue()
    assert Decision.objects.filter(action="answers_calibrated", subject="answer_settings:2").count() == 1
    said = answer("where is my parcel", reader=Reader(), source="api", now=NOW)
    assert (said.outcome, said.settings) == (Outcome.ANSWER, 2)
    assert answer("how tall is a giraffe", reader=Reader(), source="api", now=NOW).outcome == Outcome.NOT_SURE


@pytest.mark.django_db
def test_a_version_of_the_settings_is_never_changed(shop: dict[str, ArticleVersion]) -> None:
    current_settings()
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        AnswerSettings.objects.update(answer_at=0.1)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM knowledge_answersettings")
    with pytest.raises(IntegrityError), transaction.atomic():
        facts = {"calibration": {}, "model": "", "reason": "Test", "created_at": NOW}
        AnswerSettings.objects.create(number=9, answer_at=0.2, choose_at=0.8, **facts)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("question,article\nwhere,nowhere\n", "Line 2: there is no article 'nowhere'"),
        ("question,article\nwhere,\n", "too_few_questions"),
        ("question,article\n" + "where is it,\n" * 100, "too_few_questions"),
        (None, "cannot be read"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(tmp_path: Path, text: str | None, said: str) -> None:
    file = tmp_path / "questions.csv"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(CommandError, match=said):
        call_command("calibrate_answers", file)
    assert AnswerSettings.objects.filter(number=2).count() == 0


@pytest.mark.parametrize("share", ["0", "1", "-0.1"])
def test_a_share_is_a_share(share: str) -> None:
    with pytest.raises(CommandError, match="share between 0 and 1"):
        call_command("calibrate_answers", "any.csv", "--max-wrong", share)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60), st.floats(0.01, 0.5))
def test_with_a_threshold_no_more_is_wrong_than_is_borne(pairs: list[tuple[float, bool]], most: float) -> None:
    sure, right = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    at, share = learn.threshold(sure, right, max_wrong=most)
    # Equal confidences cannot be told apart, so all that reach the threshold are answered.
    answered = [one for one, good in zip(sure, right, strict=True) if one >= at]
    wrong = [one for one, good in zip(sure, right, strict=True) if one >= at and not good]
    assert 0 <= share <= 1
    if share:
        assert len(wrong) <= most * len(answered) + 1e-9


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_the_calibration_error_is_a_share(pairs: list[tuple[float, bool]]) -> None:
    error = learn.calibration_error([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    assert 0 <= error <= 1
    assert learn.calibration_error([1.0, 0.0], [True, False]) == 0


def test_what_is_known_perfectly_has_no_calibration_error() -> None:
    draw = np.random.default_rng(1)
    sure = draw.random(20_000)
    assert learn.calibration_error(list(sure), list(draw.random(20_000) < sure)) < 0.02
