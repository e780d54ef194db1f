"""Admin pages for people, roles, scopes and API tokens."""

from __future__ import annotations

from typing import Any

from auditlog.models import LogEntry
from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import FilteredSelectMultiple
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from apps.core import tokens
from apps.core.admin.base import ReadOnlyAdmin, ScopedAdmin
from apps.core.models import ApiToken, Scope, User
from apps.core.names import PeopleChoice
from apps.core.people import user_of
from apps.core.scope import grant_changes, groups_granted, people_granted, set_grants


@admin.register(User)
class PersonAdmin(UserAdmin):
    """People and their roles. Only a superuser makes superusers or touches one."""

    list_display = ["username", "email", "first_name", "last_name", "is_active", "is_staff", "roles", "last_login"]
    list_filter = ["is_active", "is_staff", "groups"]
    list_select_related = False
    add_fieldsets = [
        (None, {"classes": ["wide"], "fields": ["username", "email", "usable_password", "password1", "password2"]})
    ]
    fieldsets = [
        (None, {"fields": ["username", "password"]}),
        ("Person", {"fields": ["first_name", "last_name", "email"]}),
        ("Roles", {"fields": ["is_active", "is_staff", "groups"]}),
        ("Dates", {"fields": ["last_login", "date_joined"]}),
    ]
    readonly_fields = ["last_login", "date_joined"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    @admin.display(description="roles")
    def roles(self, person: User) -> str:
        return ", ".join(sorted(group.name for group in person.groups.all()))

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and self._may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """People who did something are made inactive, never deleted: the trail names them, and it cannot be changed."""
        if not (super().has_delete_permission(request, obj) and self._may_touch(request, obj)):
            return False
        return obj is None or not (obj.decisions.exists() or LogEntry.objects.filter(actor=obj).exists())

    def _may_touch(self, request: HttpRequest, obj: User | None) -> bool:
        return obj is None or not obj.is_superuser or bool(request.user.is_superuser)


admin.site.unregister(Group)


@admin.register(Group)
class RoleAdmin(ReadOnlyAdmin, GroupAdmin):
    """Roles, to look at: their permissions are kept in code."""


class ScopeForm(forms.ModelForm):
    """A scope and who works in it."""

    people = PeopleChoice(
        User.objects.filter(is_active=True).order_by("username"),
        required=False,
        widget=FilteredSelectMultiple("people", is_stacked=False),
        help_text="They see and work on what belongs to this scope.",
    )
    groups = forms.ModelMultipleChoiceField(
        Group.objects.order_by("name"), required=False, help_text="Everybody with one of these roles does, too."
    )

    class Meta:
        model = Scope
        fields = ["name", "slug"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and "people" in self.fields:
            self.fields["people"].initial = people_granted(self.instance)
            self.fields["groups"].initial = groups_granted(self.instance)


@admin.register(Scope)
class ScopeAdmin(ScopedAdmin):
    """Stores and teams, and who works in them."""

    form = ScopeForm
    list_display = ["name", "slug", "people_count"]
    search_fields = ["name", "slug"]
    prepopulated_fields = {"slug": ["name"]}
    fields = ["name", "slug", "people", "groups"]

    @admin.display(description="people")
    def people_count(self, scope: Scope) -> int:
        return people_granted(scope).count()

    def get_fields(self, request: HttpRequest, obj: Scope | None = None) -> list[Any]:
        may_change = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        return ["name", "slug", "people", "groups"] if may_change else ["name", "slug", "who"]

    def get_readonly_fields(self, request: HttpRequest, obj: Scope | None = None) -> list[Any]:
        return ["who"]

    @admin.display(description="who works in it")
    def who(self, scope: Scope) -> str:
        names = [*(str(group) for group in groups_granted(scope)), *(str(person) for person in people_granted(scope))]
        return ", ".join(names) or "nobody but those who see every scope"

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        changes = grant_changes(form.instance, form.cleaned_data["people"], form.cleaned_data["groups"])
        set_grants(form.instance, changes, actor=user_of(request))


@admin.register(ApiToken)
class TokenAdmin(admin.ModelAdmin):
    """API tokens: what lets programs in, for whom and until when. Deleting one revokes it."""

    list_display = ["name", "user", "token_key", "created", "expiry", "last_used_at"]
    list_filter = ["expiry"]
    list_select_related = ["user"]
    search_fields = ["name", "token_key__startswith", "user__username__exact"]
    fields = ["name", "user", "token_key", "created", "expiry", "last_used_at"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def delete_model(self, request: HttpRequest, obj: ApiToken) -> None:
        tokens.revoke(obj, actor=user_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        for token in queryset:
            tokens.revoke(token, actor=user_of(request))
