"""Model fields of our own."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import models


@lru_cache(maxsize=8)
def _cipher(keys: tuple[str, ...]) -> MultiFernet:
    if not keys:
        raise ImproperlyConfigured("FIELD_KEYS needs at least one Fernet key to keep secrets in the database.")
    return MultiFernet([Fernet(key) for key in keys])


class EncryptedTextField(models.TextField):
    """Text kept encrypted (Fernet; the newest key encrypts, older ones still decrypt). A tampered value is refused.

    Django-auditlog must mask fields of this kind, for it sees the plain text.
    """

    def get_prep_value(self, value: Any) -> Any:
        if not value:
            return ""
        return _cipher(tuple(settings.FIELD_KEYS)).encrypt(str(value).encode()).decode()

    def from_db_value(self, value: str | None, expression: object, connection: object) -> str:
        if not value:
            return ""
        try:
            return _cipher(tuple(settings.FIELD_KEYS)).decrypt(value.encode()).decode()
        except InvalidToken:
            raise ValidationError("An encrypted value was tampered with, or its key is gone.") from None
