"""Retention: what customers wrote goes when its time is over."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta

from pydantic import Field

from apps.chat import retention
from apps.chat.models import Conversation
from apps.chat.policies import RETENTION, in_force
from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site


class Settings(CheckSettings):
    """How late is too late."""

    hours: int = Field(
        30, ge=1, le=168, title="Late", description="Hours after its time until which something must be gone."
    )


@check(
    slug="transcripts-forgotten",
    title="Transcripts, files and names of the chat go when their time is over",
    every=timedelta(hours=6),
    settings=Settings,
    mitigation="See that the daily task chat.forget_chats runs; `manage.py forget_chats` shows what is due.",
)
def look(*, now: datetime, settings: Settings, site: Site) -> Finding:
    """Looks for conversations, files, people, sessions and proofs that are past their window."""
    version, windows = in_force(RETENTION)
    late = asdict(retention.preview(now=now - timedelta(hours=settings.hours), windows=windows))
    kept = Conversation.objects.filter(cleared_at=None).count()
    return concluded(
        f"{kept:,} transcripts are kept, none of them past its {windows.transcript_days} days.",
        failures=[f"{count:,} {name} are past their window." for name, count in late.items() if count],
        facts={"kept": kept, "late": late, "policy": version.number},
        query="conversations, uploads, visitors and sessions by age",
    )
