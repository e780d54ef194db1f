"""Sessions: opened twice by one browser it is one, and what was said lies on the server."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from apps.chat.models import ChatSession, ChatSite
from apps.core.models import Scope
from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Reply, Site, in_process

WORDS = "Written by a check, and taken back."


@check(
    slug="chat-session-once",
    title="A chat session is opened once, and keeps its state on the server",
    every=timedelta(hours=6),
    mitigation="See apps/chat/sessions.py: the browser's own key makes it one session; events are read from the database.",
)
def look(*, now: datetime, settings: CheckSettings, site: Site) -> Finding:
    """Opens a session of a made-up site twice with one key, says something, and reads it back over the way of those whose
    sockets fail; all of it is taken back."""
    place = _site()
    key = str(uuid4())
    first, second = (_ask(place, "session", {"client_key": key}) for _ in range(2))
    if first.status >= 400:
        return concluded(
            "",
            failures=[f"A session could not be opened: {first.status} {first.text[:200]}"],
            facts={"answers": [first.status]},
            query="POST session",
        )
    opened, again = json.loads(first.text), json.loads(second.text)
    made = ChatSession.objects.filter(site=place).count()
    failures = [] if made == 1 else [f"One browser got {made} sessions."]
    if opened["conversation"] != again.get("conversation"):
        failures.append("The second request opened another conversation.")
    message = {"client_msg_id": str(uuid4()), "text": WORDS}
    said = [_ask(place, "messages", message, opened["token"]) for _ in range(2)]
    read = _ask(place, "events?after=0", None, opened["token"])
    kept = [event["text"] for event in json.loads(read.text).get("events", [])].count(WORDS) if read.status < 400 else 0
    if kept != 1:
        failures.append(f"A message that was sent twice is kept {kept} times.")
    return concluded(
        "The second request got the first one's conversation; a message that was sent twice is kept once and read back.",
        failures=failures,
        facts={"sessions": made, "kept": kept, "answers": [one.status for one in (first, second, *said, read)]},
        query="POST session ×2, POST messages ×2, GET events, in this process",
    )


def _site() -> ChatSite:
    scope = Scope.objects.create(slug=f"check-{uuid4().hex[:12]}", name="Check")
    return ChatSite.objects.create(key=f"check-{uuid4().hex[:12]}", name="Check", scope=scope, has_bot=False)


def _ask(place: ChatSite, what: str, body: dict[str, Any] | None, token: str = "") -> Reply:
    headers = {"Authorization": f"Chat {token}"} if token else {}
    sent = None if body is None else json.dumps(body).encode()
    return in_process("GET" if body is None else "POST", f"/chat/{place.key}/{what}", headers=headers, body=sent)
