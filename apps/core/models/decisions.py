"""The decision log: an append-only chain of hashes, with personal data outside it."""

from __future__ import annotations

from typing import Any

from django.db import models


class Decision(models.Model):
    """One decision. Rows are never changed or removed; database triggers refuse it.

    ``hash`` covers every other field of the row and the hash of the row before, see ``apps.core.decisions.digest``.
    """

    seq = models.PositiveBigIntegerField(primary_key=True, help_text="1, 2, 3, without a gap.")
    at = models.DateTimeField(db_index=True)
    scope = models.CharField(max_length=80, help_text="Area, such as risk-monitoring.")
    actor = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="decisions")
    actor_label = models.CharField(max_length=80, help_text="user:17 for a person, system:job for the product.")
    action = models.SlugField(max_length=80, db_index=True)
    subject = models.CharField(max_length=160, db_index=True, help_text="Such as action_card:17.")
    evidence_url = models.CharField(max_length=500, blank=True)
    payload = models.JSONField(default=dict, blank=True, help_text="Facts without personal data.")
    text_digest = models.CharField(max_length=64, blank=True, help_text="Salted digest of the text; empty without one.")
    prev_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64, unique=True)

    class Meta:
        ordering = ["-seq"]
        indexes = [models.Index(fields=["scope", "-seq"], name="decision_scope")]

    def __str__(self) -> str:
        return f"{self.seq}: {self.action} {self.subject}"

    @property
    def actor_name(self) -> str:
        """The person's present user name, or the system's label."""
        return self.actor.get_username() if self.actor else self.actor_label

    @property
    def rationale(self) -> str:
        """The text of the decision; empty if it has none, or if it was erased."""
        return self.text.rationale if hasattr(self, "text") else ""

    def as_specified(self) -> dict[str, Any]:
        """The entry in the shape of the order monitoring specification, with what a verifier needs beside it."""
        payload = dict(self.payload)
        if hasattr(self, "text") and self.text.details:
            payload["personal"] = self.text.details
        return {
            "seq": self.seq,
            "at": self.at.isoformat(),
            "scope": self.scope,
            "actor": self.actor_name,
            "action": self.action,
            "subject": self.subject,
            "rationale": self.rationale,
            "evidenceUrl": self.evidence_url,
            "payload": payload,
            "prevHash": self.prev_hash,
            "hash": self.hash,
        }


class DecisionText(models.Model):
    """What people wrote and what names a person. It can be erased; the chain holds its salted digest only."""

    decision = models.OneToOneField(Decision, models.PROTECT, primary_key=True, related_name="text")
    rationale = models.TextField(blank=True)
    details = models.JSONField(default=dict, blank=True, help_text="Personal data taken out of the payload, by path.")
    salt = models.CharField(max_length=32, blank=True)
    erased_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return "erased" if self.erased_at else self.rationale[:80]


class DecisionHead(models.Model):
    """The end of the chain: one row, by which a cut-off tail is noticed."""

    seq = models.PositiveBigIntegerField(default=0)
    hash = models.CharField(max_length=64, blank=True)

    def __str__(self) -> str:
        return f"{self.seq}: {self.hash}"
