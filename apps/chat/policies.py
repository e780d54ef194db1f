"""What the company decided about its chat: how long what is kept, and what a pilot has to reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field

from apps.chat.models import ChatPolicyVersion
from apps.chat.refusals import NotAllowed
from apps.core import versions
from apps.core.models import User
from apps.core.rules import Registry

EDIT = "chat.add_chatpolicyversion"
TRAIL = versions.Trail("chat", "chat_policy_made", "chat_policy", "/admin/chat/chatpolicyversion/{}/change/")


class Retention(BaseModel):
    """Days for which each class of data is kept after a conversation last moved."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    transcript_days: int = Field(
        180, ge=1, le=3650, title="Transcripts", description="Days until words, hand-off details and comments go."
    )
    file_days: int = Field(90, ge=1, le=3650, title="Files", description="Days until uploaded files are deleted.")
    person_days: int = Field(
        365, ge=1, le=3650, title="Who wrote", description="Days until name, address and identity of a visitor go."
    )
    session_days: int = Field(
        30, ge=1, le=3650, title="Sessions", description="Days until ended sessions and proofs of identity are deleted."
    )


class Pilot(BaseModel):
    """What the chat has to reach to go from a pilot to all customers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    days: int = Field(28, ge=1, le=366, title="Period", description="Days that the figures are made of.")
    least: int = Field(50, ge=1, le=100_000, title="Least", description="Conversations below which nothing is judged.")
    containment: float = Field(
        0.4, ge=0, le=1, title="Containment", description="Least share of conversations that needed no person."
    )
    csat: float = Field(4.0, ge=1, le=5, title="Satisfaction", description="Least mean of customers' ratings, 1 to 5.")
    first_response_minutes: float = Field(
        5, gt=0, le=1440, title="First response", description="Minutes within which 90 % of who waited were answered."
    )
    wrong_answers: float = Field(
        0.05, ge=0, le=1, title="Wrong answers", description="Largest share of answers marked as not helpful."
    )
    useful_handoffs: float = Field(
        0.8, ge=0, le=1, title="Useful hand-offs", description="Least share of rated hand-offs that were useful."
    )
    polling: float = Field(
        0.05, ge=0, le=1, title="Polling", description="Largest share of messages that came by the fallback."
    )


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy with the schema of its values."""

    slug: str
    title: str
    description: str
    settings: type[BaseModel]


RETENTION = Policy("retention", "Retention", "How long what customers write is kept.", Retention)
PILOT = Policy("pilot", "Pilot", "What the chat has to reach before all customers get it.", Pilot)
policies: Registry[Policy] = Registry("chat policy")
policies.add(RETENTION)
policies.add(PILOT)


def in_force(policy: Policy) -> tuple[ChatPolicyVersion, Any]:
    """The newest version of a policy, and its values.

    Raises:
        InvalidSettings: the schema changed so that the version does not fit any more.
    """
    version = versions.current(ChatPolicyVersion, policy)
    return version, versions.parsed(policy.settings, version)


def retention() -> Retention:
    """How long what is kept."""
    return cast("Retention", in_force(RETENTION)[1])


def new_version(*, slug: str, settings: dict[str, Any], reason: str, actor: User) -> ChatPolicyVersion:
    """Decide a policy anew.

    Raises:
        NotAllowed: the person's role does not include it.
        InvalidSettings: if the schema refuses a value, or no reason is given.
        KeyError: there is no such policy.
    """
    if not actor.is_active or not actor.has_perm(EDIT):
        raise NotAllowed
    return versions.make(
        ChatPolicyVersion, policies[slug], settings=settings, enabled=True, reason=reason, actor=actor, trail=TRAIL
    )
