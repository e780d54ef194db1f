"""Secrets in the database: unreadable there, rotated without a gap, refused when tampered with."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured, ValidationError
from hypothesis import given
from hypothesis import strategies as st

from apps.core.fields import EncryptedTextField

FIELD = EncryptedTextField()
OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def decrypted(stored: str) -> str:
    return FIELD.from_db_value(stored, None, None)


@given(st.text(min_size=1))
def test_what_goes_in_comes_out_and_is_not_readable_between(secret: str) -> None:
    stored = FIELD.get_prep_value(secret)
    assert decrypted(stored) == secret
    assert len(secret) < 4 or secret not in stored


def test_a_value_written_with_the_former_key_is_still_read(settings) -> None:
    settings.FIELD_KEYS = [OLD]
    stored = FIELD.get_prep_value("shpat_1")
    settings.FIELD_KEYS = [NEW, OLD]
    assert decrypted(stored) == "shpat_1"
    settings.FIELD_KEYS = [NEW]
    with pytest.raises(ValidationError):
        decrypted(stored)


def test_a_tampered_value_is_refused() -> None:
    stored = FIELD.get_prep_value("shpat_1")
    with pytest.raises(ValidationError):
        decrypted(stored[:-6] + "AAAAA=")


def test_nothing_stays_nothing() -> None:
    assert FIELD.get_prep_value("") == ""
    assert decrypted("") == ""


def test_without_a_key_no_secret_is_stored_in_the_clear(settings) -> None:
    settings.FIELD_KEYS = []
    with pytest.raises(ImproperlyConfigured, match="FIELD_KEYS"):
        FIELD.get_prep_value("shpat_1")
