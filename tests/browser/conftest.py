"""A real browser against a real server on the test database. Every page is watched for policy violations."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
import uvicorn
from django.conf import settings
from django.db import connections
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from apps.chat.sockets.hub import hub
from apps.core.launcher.browser import find_browser
from apps.core.models import User
from apps.core.roles import sync_roles

# Playwright runs an event loop in this thread, which Django takes for an asynchronous caller of the ORM.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

WATCH = (
    "addEventListener('securitypolicyviolation', e => console.error('CSP ' + e.violatedDirective + ' ' + e.blockedURI))"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """WhiteNoise streams files synchronously, which Django mentions for each; not a fault of the page under test."""
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking"]
        chromium = playwright.chromium.launch(executable_path=find_browser(), args=arguments)
        yield chromium
        chromium.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _serve(server: uvicorn.Server) -> None:
    """Serve until told to end; then nothing holds a connection to the database, which may be dropped."""
    await server.serve()
    await hub().stop()


@pytest.fixture
def site(transactional_db: None, settings) -> Iterator[str]:
    """The address of the site, served by uvicorn in a thread on the test database."""
    settings.WHITENOISE_AUTOREFRESH = False  # this one site lasts for all tests, so looking at all files once pays
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No directory at")  # tests collect no static files; the finders serve them
        from config.asgi import application

    sync_roles()  # a flush between tests takes the roles away
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    port = _free_port()
    server = uvicorn.Server(uvicorn.Config(application, host="127.0.0.1", port=port, lifespan="off", log_level="error"))
    thread = threading.Thread(target=lambda: asyncio.run(_serve(server)), daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(20)
    connections.close_all()


@dataclass
class Desk:
    """One person's browser. ``complaints`` gathers console errors and policy violations of every page."""

    site: str
    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.context.add_init_script(WATCH)
        self.page.on(
            "console", lambda m: self.complaints.append(f"{self.page.url}: {m.text}") if m.type == "error" else None
        )
        self.page.on("pageerror", lambda error: self.complaints.append(f"{self.page.url}: {error}"))

    def open(self, path: str) -> None:
        """Go to a page of the site; it must answer 200."""
        answer = self.page.goto(self.site + path)
        assert answer is not None, path
        assert answer.status == 200, f"{path}: {answer.status}"

    def log_in(self, user: User) -> None:
        """Come to the home page as somebody. The form of the login is filled in by the tests of the keyboard alone."""
        client = Client()
        client.force_login(user)
        session = client.cookies[settings.SESSION_COOKIE_NAME].value
        self.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": self.site}])
        self.open("/admin/")

    def overflow(self) -> int:
        """By how many pixels the page is wider than its window."""
        script = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(self.page.evaluate(script))


@pytest.fixture
def desk(browser: Browser, site: str) -> Iterator[Callable[..., Desk]]:
    """Open browsers: ``desk(width=390, theme="dark")``. The test fails if any page broke the security policy."""
    opened: list[Desk] = []

    def make(*, width: int = 1440, theme: str = "light") -> Desk:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)  # type: ignore[arg-type]
        one = Desk(site, context, context.new_page())
        one.watch()
        opened.append(one)
        return one

    yield make
    for one in opened:
        one.context.close()
    assert [complaint for one in opened for complaint in one.complaints] == []
