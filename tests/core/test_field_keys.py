"""Rotating the keys of encrypted fields: everything is written with the newest key, and nothing is lost."""

from __future__ import annotations

from io import StringIO

import pytest
from auditlog.models import LogEntry
from cryptography.fernet import Fernet
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command

from apps.core.fields import EncryptedTextField
from apps.core.management.commands.rotate_field_keys import encrypted_fields
from apps.orders.models import Store
from tests.orders.factories import StoreFactory

pytestmark = pytest.mark.django_db
OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.fixture
def store(settings) -> Store:
    settings.FIELD_KEYS = [OLD]
    return StoreFactory(webhook_secret="first", webhook_secret_previous="", api_token="shpat_1")


def rotated() -> str:
    out = StringIO()
    call_command("rotate_field_keys", stdout=out)
    return out.getvalue()


def test_the_former_key_is_no_longer_needed(store: Store, settings) -> None:
    changes = LogEntry.objects.count()
    settings.FIELD_KEYS = [NEW, OLD]
    told = rotated()
    assert "webhook_secret, webhook_secret_previous, api_token: 1 rows" in told
    assert "first" not in told
    settings.FIELD_KEYS = [NEW]
    store.refresh_from_db()
    assert (store.webhook_secret, store.webhook_secret_previous, store.api_token) == ("first", "", "shpat_1")
    assert LogEntry.objects.count() == changes
    settings.FIELD_KEYS = [OLD]
    with pytest.raises(ValidationError):
        store.refresh_from_db()


def test_it_may_be_run_again(store: Store) -> None:
    rotated()
    rotated()
    store.refresh_from_db()
    assert store.api_token == "shpat_1"


def test_a_missing_key_is_told_and_changes_nothing(store: Store, settings) -> None:
    settings.FIELD_KEYS = [NEW]
    with pytest.raises(CommandError, match="its key is gone"):
        rotated()
    settings.FIELD_KEYS = [OLD]
    store.refresh_from_db()
    assert store.api_token == "shpat_1"


def test_every_encrypted_field_is_found() -> None:
    assert encrypted_fields()[Store] == ["webhook_secret", "webhook_secret_previous", "api_token"]
    for model, names in encrypted_fields().items():
        assert all(isinstance(model._meta.get_field(name), EncryptedTextField) for name in names)
