"""Choosing by hand how sure answers must be; what was learnt from labelled questions stays as it is."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from apps.core.errors import DomainError
from apps.core.models import User
from apps.knowledge.calibration import _new_version, current_settings
from apps.knowledge.models import AnswerSettings
from apps.knowledge.refusals import InvalidArticle, NotAllowed

SET = "knowledge.add_answersettings"
_OF_THRESHOLDS = frozenset({"answered", "wrong_of_answered", "max_wrong"})
"""Figures that hold for the thresholds that they were measured with, and for no others."""


class SettingsChanged(DomainError):
    """Newer settings were made. ``version`` is their number."""

    code = "settings_changed"
    message = "Newer settings were made since you looked at them."
    status = 409

    def __init__(self, version: int) -> None:
        self.version = version
        super().__init__()


@transaction.atomic
def choose_thresholds(
    *, answer_at: float, choose_at: float, reason: str, seen: int, actor: User, now: datetime
) -> AnswerSettings:
    """Make a version of the settings with other thresholds.

    Args:
        answer_at, choose_at: confidences, 0 to 1, the second at most the first.
        seen: number of the settings that were looked at.

    Raises:
        NotAllowed, SettingsChanged, InvalidArticle: the thresholds do not fit each other, or no reason is given.
    """
    if not actor.has_perm(SET):
        raise NotAllowed
    AnswerSettings.objects.select_for_update(no_key=True).get(pk=current_settings().pk)
    former = current_settings()  # of after the lock: another may just have been made
    if former.number != seen:
        raise SettingsChanged(former.number)
    if not 0 <= choose_at <= answer_at <= 1:
        raise InvalidArticle(fields={"choose_at": ["Between 0 and the confidence from which is answered."]})
    if not reason.strip():
        raise InvalidArticle(fields={"reason": ["Say why."]})
    facts = {
        "answer_at": answer_at,
        "choose_at": choose_at,
        "calibration": former.calibration,
        "model": former.model,
        "metrics": {name: value for name, value in former.metrics.items() if name not in _OF_THRESHOLDS},
        "reason": reason.strip()[:300],
        "created_by": actor,
        "created_at": now,
    }
    return _new_version(facts, actor)
