"""Both ways to the chat are open: the socket, and the polling that widgets fall back to."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.conf import settings as project
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import connect
from websockets.typing import Origin

from apps.chat.models import ChatSite
from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import TIMEOUT_SECONDS, Site

NO_TOKEN = 4401


@check(
    slug="chat-reachable",
    title="Customers reach the chat by socket, and by polling where sockets fail",
    every=timedelta(minutes=5),
    mitigation="See docs/runbooks/sockets-fail.md: the proxy must pass Upgrade headers, and the site's origins must be set.",
)
def look(*, now: datetime, settings: CheckSettings, site: Site) -> Finding:
    """Asks the running web server for a site's events without a session, and knocks at its socket with a false token: both
    have to refuse in their own words, which only the chat itself does."""
    place = ChatSite.objects.filter(is_active=True).order_by("pk").first()
    if place is None:
        return concluded("", warnings=["No site has a chat yet."], facts={"sites": 0}, query="active chat sites")
    origin = place.allowed_origins[0] if place.allowed_origins else _own_origin()
    polled = site.ask("GET", f"/chat/{place.key}/events?after=0", headers={"Origin": origin})
    failures = [] if polled.status == 401 else [f"Polling answers {polled.status} where 401 is due."]
    warnings = []
    if polled.via == "http":
        closed = knock(place.key, origin)
        if closed != NO_TOKEN:
            failures.append(f"The socket answers {closed or 'nothing'} where {NO_TOKEN} is due; widgets poll instead.")
    else:
        closed = None
        warnings.append("Nobody answers at the site's address, so that the socket could not be tried.")
    return concluded(
        "The socket and the polling of the chat answer.",
        failures=failures,
        warnings=warnings,
        facts={"site": place.key, "polling": polled.status, "socket": closed, "via": polled.via},
        query=f"GET events and WebSocket of /chat/{place.key}/",
    )


def knock(key: str, origin: str) -> int | None:
    """The code by which the socket of a site turns a false token away; None if there is no such socket."""
    base = urlsplit(project.PROBE_URL or project.SITE_URL)
    address = base._replace(scheme="wss" if base.scheme == "https" else "ws", path=f"/ws/chat/{key}/").geturl()
    host = {"Host": urlsplit(project.SITE_URL).netloc} if project.PROBE_URL else {}
    try:
        with connect(address, origin=Origin(origin), additional_headers=host, open_timeout=TIMEOUT_SECONDS) as socket:
            socket.send(json.dumps({"type": "hello", "token": "false", "after": 0, "protocol": 1}))
            while True:
                socket.recv(timeout=TIMEOUT_SECONDS)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None
    except (WebSocketException, OSError, TimeoutError):
        return None


def _own_origin() -> str:
    base = urlsplit(project.SITE_URL)
    return f"{base.scheme}://{base.netloc}"
