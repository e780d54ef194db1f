"""A page of another origin that carries the chat, under a policy as strict as can be, and who visits it."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import BrowserContext, Page, WebSocketRoute, expect

from tests.browser.conftest import WATCH

PATIENCE = 10_000
"""Milliseconds for something to appear; the machine may be busy."""
expect.set_options(timeout=PATIENCE)


def _page(server: str, key: str, query: dict[str, list[str]]) -> str:
    attributes = "".join(f' data-{name}="{values[0]}"' for name, values in query.items() if name not in ("lang", "dir"))
    lang, way = query.get("lang", ["en"])[0], query.get("dir", ["ltr"])[0]
    return (
        f'<!doctype html><html lang="{lang}" dir="{way}"><head><meta charset="utf-8"><title>A shop</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<script src="{server}/static/chat/widget.js" data-site="{key}"{attributes} async></script></head>'
        "<body><main><h1>A shop</h1><p>With goods.</p></main></body></html>"
    )


def policy(server: str) -> str:
    """What docs/chat-embed.md asks for, and nothing else."""
    socket = server.replace("http", "ws", 1)
    return (
        f"default-src 'none'; base-uri 'none'; script-src {server}; connect-src {server} {socket}; "
        "require-trusted-types-for 'script'"
    )


@contextmanager
def shop(server: str, key: str) -> Iterator[str]:
    """The origin of a shop whose pages carry the chat; ``?language=de`` in an address gives data-language and so on."""

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = _page(server, key, parse_qs(urlsplit(self.path).query)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Security-Policy", policy(server))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    pages = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=pages.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{pages.server_port}"
    pages.shutdown()
    pages.server_close()


@dataclass
class Shopper:
    """Somebody's browser in the shop. ``complaints`` gathers errors and violations of the page's policy."""

    address: str
    context: BrowserContext
    complaints: list[str] = field(default_factory=list)
    sockets: list[WebSocketRoute] = field(default_factory=list)
    cut: bool = False
    mute: bool = False
    refusal: tuple[int, str] | None = None
    came: list[float] = field(default_factory=list)
    """When sockets were asked for."""

    def __post_init__(self) -> None:
        self.context.add_init_script(WATCH)
        self.context.route_web_socket(re.compile("/ws/chat/"), self._socket)
        self.page = self.tab()

    def _socket(self, socket: WebSocketRoute) -> None:
        self.came.append(time.monotonic())
        if self.cut:
            socket.close(code=1011)
        elif self.refusal:
            (code, reason), self.refusal = self.refusal, None
            socket.close(code=code, reason=reason)
        else:
            self.sockets.append(socket)
            server = socket.connect_to_server()
            socket.on_message(lambda message: None if self.mute else server.send(message))
            server.on_message(lambda message: None if self.mute else socket.send(message))

    def tab(self) -> Page:
        """Another tab of the same browser."""
        page = self.context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda m: self.complaints.append(m.text) if m.text.startswith("CSP") else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return page

    def visit(self, query: str = "", page: Page | None = None) -> None:
        (page or self.page).goto(f"{self.address}/?{query}")

    def opens(self, query: str = "") -> None:
        """Go to the shop and open the chat."""
        self.visit(query)
        self.page.locator(".launcher").click()

    def says(self, text: str) -> None:
        self.page.locator(".box textarea").fill(text)
        self.page.keyboard.press("Enter")

    def sees(self, text: str, page: Page | None = None) -> None:
        expect((page or self.page).locator(".panel")).to_contain_text(text)

    def gets_through(self, page: Page | None = None) -> None:
        """Wait until everything that was said is stored. Waiting elsewhere would hold up the sockets, which go by us."""
        expect((page or self.page).locator(".pending")).to_have_count(0)

    def goes(self, way: str) -> None:
        """Wait until the chat is connected this way: socket, polling, connecting or offline."""
        expect(self.page.locator(".frame")).to_have_attribute("data-way", way)

    def said(self, page: Page | None = None) -> list[str]:
        """What stands in the conversation, in its order, without the greeting."""
        return (page or self.page).locator(".said:not([data-key=greeting]) .bubble").all_inner_texts()

    def cut_sockets(self) -> None:
        """Let no socket through from now on."""
        self.cut = True
        for socket in self.sockets:
            socket.close(code=1011)
        self.sockets.clear()

    def loses_network(self) -> None:
        self.context.set_offline(True)
        self.cut_sockets()

    def finds_network(self) -> None:
        self.cut = False
        self.context.set_offline(False)
