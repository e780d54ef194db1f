"""What the API keeps: tokens of people and integrations, and answers that are given again."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Self

from django.db import models
from knox.models import AbstractAuthToken, AuthTokenManager
from knox.settings import CONSTANTS


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    """Named queries over tokens."""

    def alive(self, now: datetime) -> Self:
        """Those that still let somebody in."""
        return self.filter(expiry__gt=now)

    def visible_to(self, user: Any) -> Self:
        """Own tokens; everybody's for those whose role sees tokens."""
        if not user.is_active or not user.is_authenticated:
            return self.none()
        return self if user.has_perm("core.view_apitoken") else self.filter(user=user)


class ApiToken(AbstractAuthToken):
    """Lets a program act as a person until it expires. Only a digest of it is kept."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    digest = models.CharField(max_length=CONSTANTS.DIGEST_LENGTH, unique=True, editable=False)
    user = models.ForeignKey("core.User", models.CASCADE, related_name="auth_token_set")
    name = models.CharField(max_length=100, help_text="What it is for.")
    last_used_at = models.DateTimeField(null=True, blank=True, help_text="Known to the hour.")

    objects = AuthTokenManager.from_queryset(ApiTokenQuerySet)()

    class Meta:
        ordering = ["-created"]
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"{self.name} ({self.token_key}…)"


class StoredAnswer(models.Model):
    """The answer to a request that carried an idempotency key, given again when the request comes again."""

    user = models.ForeignKey("core.User", models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of method, path and body.")
    status = models.PositiveSmallIntegerField(default=0)
    body = models.JSONField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="storedanswer_key")]
        indexes = [models.Index(fields=["created_at"], name="storedanswer_age")]

    def __str__(self) -> str:
        return f"{self.key}: {self.status}"
