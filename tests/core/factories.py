"""People and scopes for tests."""

from __future__ import annotations

from functools import cache

import factory
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from guardian.shortcuts import assign_perm

from apps.core.models import Scope, User
from apps.core.roles import Role

PASSWORD = "correct horse battery"


@cache
def _hashed() -> str:
    """Everybody in a test run has the same hash."""
    return make_password(PASSWORD)


class UserFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = User
        skip_postgeneration_save = True

    username = factory.Sequence(lambda n: f"person{n}")
    email = factory.LazyAttribute(lambda user: f"{user.username}@example.com")
    password = factory.LazyFunction(_hashed)


class ScopeFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Scope

    slug = factory.Sequence(lambda n: f"scope-{n}")
    name = factory.LazyAttribute(lambda scope: scope.slug.title())


def person(role: Role, *scopes: Scope, **fields: object) -> User:
    """A member of staff with a role, granted the scopes."""
    user: User = UserFactory(is_staff=True, **fields)
    user.groups.add(Group.objects.get(name=role))
    for scope in scopes:
        assign_perm("core.work_in_scope", user, scope)
    return user
