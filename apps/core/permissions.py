"""The one permission class of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Model
from rest_framework.permissions import DjangoModelPermissions
from rest_framework.request import Request

if TYPE_CHECKING:  # DRF's views import this module while they load
    from rest_framework.views import APIView


class ScopedPermission(DjangoModelPermissions):
    """The one permission of the API: model permission by role, then the object through ``visible_to``.

    Views take their rows from ``visible_to`` too, so that a foreign object is a 404; this check stands behind it.
    """

    perms_map = {
        **DjangoModelPermissions.perms_map,
        "GET": ["%(app_label)s.view_%(model_name)s"],
        "HEAD": ["%(app_label)s.view_%(model_name)s"],
    }

    def has_object_permission(self, request: Request, view: APIView, obj: Model) -> bool:
        return bool(type(obj)._default_manager.all().visible_to(request.user).filter(pk=obj.pk).exists())  # type: ignore[attr-defined]
