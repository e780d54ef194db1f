"""What readers say about articles."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext

from apps.core.redaction import redact
from apps.knowledge.answers import hashed
from apps.knowledge.models import ArticleFeedback, ArticleVersion
from apps.knowledge.refusals import ArticleNotFound, InvalidArticle
from apps.knowledge.search.retrieve import Reader

LONGEST = 1_000
"""Characters of a reader's comment."""


@transaction.atomic
def give(
    *, version_id: int, reader: Reader, helpful: bool, visitor: str, now: datetime, reason: str = "", comment: str = ""
) -> ArticleFeedback:
    """Keep a reader's word on a live version. The same visitor's later word on it replaces the former.

    Args:
        visitor: what tells visitors apart; only a keyed hash of it is kept.
        reason: of :class:`ArticleFeedback.Reason`, if it did not help.
        comment: redacted before it is kept.

    Raises:
        ArticleNotFound: this reader has no such version.
        InvalidArticle: the reason is unknown, or the comment too long.
    """
    if not ArticleVersion.objects.readable_by(reader).filter(pk=version_id).exists():
        raise ArticleNotFound
    if helpful:
        reason = comment = ""
    if reason and reason not in ArticleFeedback.Reason.values:
        raise InvalidArticle(fields={"reason": [gettext("Choose one of these.")]})
    if len(comment) > LONGEST:
        raise InvalidArticle(fields={"comment": [gettext("At most 1,000 characters.")]})
    said = {
        "helpful": helpful,
        "reason": reason,
        "comment": redact(comment.replace("\x00", " ").strip(), policy="message").text,
        "given_at": now,
    }
    given, _ = ArticleFeedback.objects.update_or_create(version_id=version_id, visitor=hashed(visitor), defaults=said)
    return given
