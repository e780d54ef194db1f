"""Who reads: everybody, or staff who also see what is internal."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest

from apps.core.models import User
from apps.core.scope import scope_ids_of, sees_every_scope
from apps.knowledge.rights import VIEW
from apps.knowledge.search.retrieve import Reader

EVERYBODY = Reader()


def reader_of(request: HttpRequest) -> Reader:
    """The reader behind a request of a page. Without a session nothing is asked of the database."""
    if settings.SESSION_COOKIE_NAME not in request.COOKIES:
        return EVERYBODY
    return reader_for(request.user)


def reader_for(user: object) -> Reader:
    """What a person reads: staff whose role includes articles see those that are internal or of their scopes, too."""
    if not isinstance(user, User) or not user.is_active or not user.is_staff or not user.has_perm(VIEW):
        return EVERYBODY
    return Reader(internal=True, scopes=None if sees_every_scope(user) else tuple(scope_ids_of(user)))
