"""The admin classes that every app uses: rows by scope, and rows that nobody edits."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.checks import CheckMessage, Error
from django.core.exceptions import BadRequest, ValidationError
from django.db.models import ForeignKey, Model, QuerySet
from django.http import HttpRequest, HttpResponse

from apps.core.models import Scope, User
from apps.core.people import user_of
from apps.core.scope import scopes_of, sees_every_scope


class ScopedAdmin(admin.ModelAdmin):
    """Rows come through ``visible_to``, and each object is checked against it (Django checks the model only).

    The manager of the model must have ``visible_to(user)``. Choices of foreign keys are narrowed in the same way, so a
    row cannot be moved to where its editor sees nothing.
    """

    @classmethod
    def narrow(cls, queryset: QuerySet[Any], user: User) -> QuerySet[Any]:
        """What of a queryset a person may see; scopes themselves by their grants."""
        if queryset.model is Scope:
            return queryset if sees_every_scope(user) else queryset.filter(pk__in=scopes_of(user).values("pk"))
        visible_to = getattr(queryset, "visible_to", None)
        return visible_to(user) if visible_to else queryset

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return self.narrow(super().get_queryset(request), user_of(request))

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[Any], *args: Any, **kwargs: Any
    ) -> HttpResponse | None:
        """Django filters by whatever was sent as keys; what cannot be one is a bad request."""
        try:
            for key in request.POST.getlist(ACTION_CHECKBOX_NAME):
                self.opts.pk.to_python(key)
        except ValidationError:
            raise BadRequest("A selected row cannot be read.") from None
        return super().response_action(request, queryset, *args, **kwargs)

    def _in_scope(self, request: HttpRequest, obj: Model | None) -> bool:
        if obj is None or obj.pk is None:
            return True
        # One page asks several times about the same row, so the answer is kept for the request.
        answers: dict[tuple[str, Any], bool] = request.__dict__.setdefault("_objects_in_scope", {})
        key = (self.opts.label, obj.pk)
        if key not in answers:
            manager = self.model._default_manager
            answers[key] = self.narrow(manager.all(), user_of(request)).filter(pk=obj.pk).exists()
        return answers[key]

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_view_permission(request, obj) and self._in_scope(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_change_permission(request, obj) and self._in_scope(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_delete_permission(request, obj) and self._in_scope(request, obj)

    def formfield_for_foreignkey(
        self, db_field: ForeignKey, request: HttpRequest, **kwargs: Any
    ) -> forms.ModelChoiceField | None:
        if "queryset" not in kwargs:
            kwargs["queryset"] = self.narrow(db_field.remote_field.model._default_manager.all(), user_of(request))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        found = super().check(**kwargs)
        if self.model is not Scope and not hasattr(self.model._default_manager.all(), "visible_to"):
            found.append(Error("A scoped admin needs a manager with visible_to(user).", obj=type(self), id="core.E002"))
        return found


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows that nobody edits. Combine with :class:`ScopedAdmin` (first) where they have a scope."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
