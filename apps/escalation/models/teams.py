"""Teams, and the categories by which work reaches them."""

from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models

from apps.escalation.querysets import InScopeQuerySet


class Team(models.Model):
    """People who answer together. Its tickets and flags belong to its scope."""

    scope = models.OneToOneField("core.Scope", models.PROTECT, related_name="team")
    name = models.CharField(max_length=120, unique=True)
    calendar = models.ForeignKey("escalation.Calendar", models.PROTECT, related_name="teams")
    active = models.BooleanField(default=True)

    objects = InScopeQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Member(models.Model):
    """A person's work in a team."""

    team = models.ForeignKey(Team, models.CASCADE, related_name="members")
    user = models.ForeignKey("core.User", models.PROTECT, related_name="team_memberships")
    capacity = models.PositiveSmallIntegerField(
        default=8, validators=[MinValueValidator(1)], help_text="Open tickets at a time."
    )
    available = models.BooleanField(default=True, help_text="Gets new tickets.")
    skills = models.ManyToManyField("escalation.Category", blank=True, related_name="skilled_members")

    class Meta:
        ordering = ["team", "user"]
        constraints = [models.UniqueConstraint(fields=["team", "user"], name="member_once")]

    def __str__(self) -> str:
        return f"{self.user} in {self.team}"


class Category(models.Model):
    """What a ticket is about: which team answers it, what it must say, and in which time."""

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    team = models.ForeignKey(Team, models.PROTECT, null=True, blank=True, related_name="categories")
    needs_skill = models.BooleanField(default=False, help_text="Only members with this skill get its tickets.")
    required_fields = models.JSONField(
        default=list,
        blank=True,
        help_text="What a ticket needs beside a subject: requester_name, requester_contact, summary, order_reference.",
    )
    first_response = models.DurationField(null=True, blank=True, help_text="Working time until the first answer.")
    next_response = models.DurationField(null=True, blank=True, help_text="Working time until each further answer.")
    resolution = models.DurationField(null=True, blank=True, help_text="Working time until it is resolved.")
    active = models.BooleanField(default=True)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "categories"

    def __str__(self) -> str:
        return self.name


class CannedReply(models.Model):
    """A prepared answer."""

    title = models.CharField(max_length=120, unique=True)
    body = models.TextField(help_text="May name {requester}, {ticket} and {agent}.")
    category = models.ForeignKey(Category, models.SET_NULL, null=True, blank=True, related_name="canned_replies")

    class Meta:
        ordering = ["title"]
        verbose_name_plural = "canned replies"

    def __str__(self) -> str:
        return self.title
