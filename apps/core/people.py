"""Who asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:  # the admin site needs this before there are models
    from django.http import HttpRequest
    from rest_framework.request import Request

    from apps.core.models import User


def user_of(request: HttpRequest | Request) -> User:
    """The person of a request to a page or view that lets nobody in who is not logged in.

    The types of Django say that it may be a stranger; what was asked before (the admin site, a permission class) has let
    no stranger through.
    """
    return cast("User", request.user)
