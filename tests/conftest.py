"""What every test gets, and what keeps several processes of tests apart."""

from __future__ import annotations

import gc
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import structlog
from django.conf import settings as project
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.test import TransactionTestCase

from config.env import database_number
from tests.support.emptying import empty_the_database

# Hashing is slow on purpose, which here only costs time at each login.
PBKDF2PasswordHasher.iterations = 1
# Each test client puts the site together anew; looking at every static file for that takes longer than most tests do.
project.WHITENOISE_AUTOREFRESH = True
# Looking for cycles after every 700 new objects took a fifth of the run, and half of the migrations.
gc.set_threshold(50_000, 20, 50)
TransactionTestCase._fixture_teardown = lambda _: empty_the_database()


def numbered(redis_url: str, number: int) -> str:
    """The address of another database of the same Valkey."""
    if redis_url.startswith("unix:"):
        return f"{redis_url.partition('?')[0]}?db={number}"
    return urlsplit(redis_url)._replace(path=f"/{number}", query="").geturl()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Any]) -> None:
    """Give each process of a parallel run its own database of Valkey; pytest-django does so for PostgreSQL's."""
    first = int(database_number(project.REDIS_URL))
    for offset, spec in enumerate(specs):
        spec.env["REDIS_URL"] = numbered(project.REDIS_URL, first + offset)


def pytest_collection_finish() -> None:
    """The project and its tests stay to the end, so the search for cycles need not walk through them again."""
    gc.freeze()


@pytest.fixture(autouse=True)
def _log_context_of_its_own() -> None:
    """What a task or request of another test bound to the log stays out of this one."""
    structlog.contextvars.clear_contextvars()


@pytest.fixture(autouse=True)
def _limits_of_its_own(settings) -> None:
    """Rate limits are counted in the shared Valkey; each test starts from nothing and leaves nothing to others."""
    settings.RATE_LIMIT_PREFIX = f"test:{uuid4().hex}"
