"""Who may do what in the register: the one place, asked by every service.

The model permission comes from the role (``apps.core.roles``); whose risks it reaches is said here. Who has
``edit_any_risk`` reaches every risk in sight, everybody else the risks that they own, and the mitigations and controls
that they own or that belong to such a risk. Jobs of the product itself act under a label (``system:<job>``), which only its
own code can give; it may do all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from django.db.models import Model, QuerySet

from apps.core.models import User
from apps.core.redaction import redact
from apps.register.models import Control, Mitigation, RegisterReview, Risk, RiskAssessment
from apps.register.querysets import EDIT_ANY
from apps.register.refusals import MissingInformation, NotAllowed, NotFound

Actor: TypeAlias = User | str
LOG = "register"
MAX_TEXT = 10_000


def person(actor: Actor) -> User | None:
    """Who acted; None for a job."""
    return actor if isinstance(actor, User) else None


def demand(actor: Actor, permission: str) -> None:
    """Refuse who does not have a permission.

    Raises:
        NotAllowed: as it says.
    """
    if not may(actor, permission):
        raise NotAllowed


def may(actor: Actor, permission: str) -> bool:
    """Whether somebody's role gives a permission."""
    return isinstance(actor, str) or (actor.is_active and actor.has_perm(permission))


def demand_risk(actor: Actor, risk: Risk, permission: str) -> None:
    """Refuse who may not do this with this risk.

    Raises:
        NotAllowed: the role does not include it, or the risk is somebody else's.
    """
    if not may_with_risk(actor, risk, permission):
        raise NotAllowed


def may_with_risk(actor: Actor, risk: Risk, permission: str) -> bool:
    """Whether somebody may do this with a risk in sight: with any who may edit any, with the own ones its owner."""
    return may(actor, permission) and (may(actor, EDIT_ANY) or risk.owner_id == _pk(actor))


def may_with_assessment(actor: Actor, assessment: RiskAssessment, permission: str) -> bool:
    """Whether somebody may do this with an assessment in sight."""
    return may(actor, permission) and (may(actor, EDIT_ANY) or assessment.owner_id == _pk(actor))


def may_with_mitigation(actor: Actor, mitigation: Mitigation, permission: str) -> bool:
    """Whether somebody may do this with a mitigation: its owner, the owner of what it belongs to, and who may edit any."""
    if not may(actor, permission):
        return False
    of = mitigation.risk or mitigation.assessment
    owners = {mitigation.owner_id, of.owner_id if of else None}
    return may(actor, EDIT_ANY) or _pk(actor) in owners


def may_review(actor: Actor, review: RegisterReview) -> bool:
    """Whether somebody may hold a review in sight: who owns the risk or the assessment, and who may edit any."""
    if not may(actor, "register.change_registerreview"):
        return False
    of = review.risk or review.assessment
    return may(actor, EDIT_ANY) or (of is not None and of.owner_id == _pk(actor))


def may_attest(actor: Actor, control: Control) -> bool:
    """Whether somebody may give their word for a control: its owner; where nobody owns it, its role; who may edit any."""
    if not isinstance(actor, User) or not may(actor, "register.add_attestation"):
        return False
    if may(actor, EDIT_ANY) or control.owner_id == actor.pk:
        return True
    by_role = control.owner_id is None and control.owner_role
    return bool(by_role) and actor.groups.filter(name=control.owner_role).exists()


def sees(actor: Actor, queryset: QuerySet[Model]) -> QuerySet[Model]:
    """The rows in somebody's sight."""
    return queryset if isinstance(actor, str) else queryset.visible_to(actor)  # type: ignore[attr-defined]


def locked_risk(risk_id: int, actor: Actor, permission: str) -> Risk:
    """A risk to be changed, locked until the transaction ends.

    Raises:
        NotFound: it is not in this person's sight.
        NotAllowed: it is, but not theirs to do this with.
    """
    demand(actor, "register.view_risk")
    # Weaker than FOR UPDATE, so that rows which refer to the risk are written meanwhile.
    ids = sees(actor, Risk.objects.filter(pk=risk_id)).values("pk")
    rows = Risk.objects.select_for_update(of=("self",), no_key=True).select_related("assessment", "owner", "category")
    risk: Risk | None = rows.filter(pk__in=ids).first()
    if risk is None:
        raise NotFound
    demand_risk(actor, risk, permission)
    return risk


def said(text: str, field: str, needed: str, most: int = MAX_TEXT) -> str:
    """A text that has to be there, as it may be kept.

    Raises:
        MissingInformation: it is empty or too long.
    """
    text = kept(text)
    if not text:
        raise MissingInformation(fields={field: [needed]})
    if len(text) > most:
        raise MissingInformation(fields={field: [f"At most {most} characters."]})
    return text


def clean(text: str) -> str:
    """A name or key, trimmed, and without null bytes, which PostgreSQL has no text with."""
    return text.replace("\x00", "").strip()


def kept(text: str) -> str:
    """What a person wrote, as it may be kept: trimmed, and secrets, accounts and how to reach somebody are masked.

    The trail, the decision log, minutes and notifications are made from it, so the raw text is nowhere. Documents that
    are imported are not masked: they come back from an export as they were.
    """
    return redact(clean(text)).text


def within(texts: Mapping[str, str], most: int = MAX_TEXT) -> dict[str, str]:
    """Texts that may be empty, by field, as they may be kept.

    Raises:
        MissingInformation: one is too long.
    """
    found = {name: kept(text) for name, text in texts.items()}
    if long := [name for name, text in found.items() if len(text) > most]:
        raise MissingInformation(fields={name: [f"At most {most} characters."] for name in long})
    return found


def _pk(actor: Actor) -> int | None:
    """Whose rows are the own ones; a job has none, and it does not need them."""
    return actor.pk if isinstance(actor, User) else -1
