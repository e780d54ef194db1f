"""People and the scopes they work in."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):  # type: ignore[django-manager-missing]  # the tokens' manager comes from an untyped library
    """A member of staff, or the account of an integration. Roles are groups; see ``apps.core.roles``."""

    email = models.EmailField("e-mail", unique=True)

    class Meta(AbstractUser.Meta):
        pass

    def __str__(self) -> str:
        """The name, as pages show it; the login where no name is known."""
        return self.get_full_name() or self.get_username()


class Scope(models.Model):
    """What object permissions are granted on: a store, a team. Rows that belong to one carry its key.

    People who hold ``core.work_in_scope`` on a scope (by django-guardian, on the person or a group) see its rows; who
    holds it globally (by a role) sees all.
    """

    slug = models.SlugField(max_length=80, unique=True)
    name = models.CharField(max_length=120)
    judged_as_of = models.DateTimeField(
        null=True,
        blank=True,
        help_text="Set for what is a copy of a past state: it is judged as of then, and sweeps of the present pass it by.",
    )

    class Meta:
        ordering = ["name"]
        permissions = [("work_in_scope", "Can see and work on what belongs to the scope")]

    def __str__(self) -> str:
        return self.name
