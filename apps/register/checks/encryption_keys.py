"""Encryption at rest: keys are there, none is a default, and what is stored opens with them."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Iterator
from datetime import datetime, timedelta

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.apps import apps
from django.conf import settings as project
from django.db import connection
from django.db.models import Model

from apps.core.fields import EncryptedTextField
from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site
from config.env import INSECURE_KEY_PREFIX, SHORTEST_SECRET_KEY

MOST_ROWS = 5_000
"""So many values of a column are opened, the newest rows first."""


@check(
    slug="encryption-keys",
    title="Stored secrets are encrypted with keys of our own",
    every=timedelta(hours=6),
    mitigation="Set FIELD_KEYS and SECRET_KEY (docs/operate.md, “Rotating secrets”); restore a key that was lost.",
)
def look(*, now: datetime, settings: CheckSettings, site: Site) -> Finding:
    """Reads every encrypted column as it lies in the database and opens it with the keys in force."""
    failures = [*_bad_keys(), *_bad_secret()]
    counts: dict[str, dict[str, int]] = {}
    if project.FIELD_KEYS:
        cipher = MultiFernet([Fernet(key) for key in project.FIELD_KEYS])
        for model, column in _columns():
            name = f"{model._meta.label}.{column}"
            opened = [_opens(cipher, value) for value in _values(model, column)]
            counts[name] = {"read": len(opened), "closed": opened.count(False)}
            if False in opened:
                failures.append(f"{opened.count(False)} of {len(opened)} values of {name} do not open with any key.")
    read = sum(count["read"] for count in counts.values())
    return concluded(
        f"Keys: {len(project.FIELD_KEYS)}; {read} stored values of {len(counts)} columns are encrypted with them.",
        failures=failures,
        facts={"keys": len(project.FIELD_KEYS), "columns": counts},
        query="SELECT of every encrypted column",
    )


def _bad_keys() -> Iterator[str]:
    if not project.FIELD_KEYS:
        yield "FIELD_KEYS is empty, so no secret can be kept in the database."
    for key in project.FIELD_KEYS:
        raw = urlsafe_b64decode(key)
        # Of 32 random bytes some are no letters, and hardly any comes thrice.
        if len(set(raw)) < 20 or all(32 <= byte < 127 for byte in raw):
            yield "FIELD_KEYS holds a key that was not drawn at random."


def _bad_secret() -> Iterator[str]:
    secret = project.SECRET_KEY
    if secret.startswith(INSECURE_KEY_PREFIX):
        yield "SECRET_KEY is a default."
    elif len(secret) < SHORTEST_SECRET_KEY:
        yield f"SECRET_KEY is shorter than {SHORTEST_SECRET_KEY} characters."


def _columns() -> Iterator[tuple[type[Model], str]]:
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            if isinstance(field, EncryptedTextField):
                yield model, field.attname


def _values(model: type[Model], column: str) -> list[str]:
    table, pk = model._meta.db_table, model._meta.pk.attname
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {quote(column)} FROM {quote(table)} WHERE {quote(column)} <> '' ORDER BY {quote(pk)} DESC LIMIT %s",  # noqa: S608 - names of our own
            [MOST_ROWS],
        )
        return [value for (value,) in cursor.fetchall()]


def _opens(cipher: MultiFernet, value: str) -> bool:
    try:
        cipher.decrypt(value.encode())
    except InvalidToken:
        return False
    return True
