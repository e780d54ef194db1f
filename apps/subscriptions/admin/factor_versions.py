"""Which factors count and how much, per organisation. A version is never edited; the form makes the next one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, QuerySet
from django.forms import BoundField
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from apps.core.admin import ReadOnlyAdmin
from apps.core.errors import DomainError
from apps.core.models import Scope
from apps.core.numbers import whole
from apps.core.people import user_of
from apps.core.scope import in_scope, scopes_of, sees_every_scope
from apps.subscriptions import services
from apps.subscriptions.factors import Evaluator, evaluators, made_from
from apps.subscriptions.models import FactorVersion, Subscription

EVERYBODY = 0
"""Stands in addresses for all organisations that have no version of their own."""
MOST = 200


@dataclass(frozen=True, slots=True)
class Group:
    """The fields of one factor in the form."""

    evaluator: Evaluator
    enabled: BoundField
    weights: list[BoundField]


class FactorForm(forms.Form):
    """Each factor with its switch and its weights. ``seen`` is the version that was looked at; 0 for none."""

    seen = forms.IntegerField(widget=forms.HiddenInput)
    reason = forms.CharField(
        max_length=300,
        widget=forms.Textarea(attrs={"rows": 2, "maxlength": 300}),
        help_text="Stands beside the version for ever.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        for one in evaluators:
            self.fields[_switch(one.slug)] = forms.BooleanField(label="It counts", required=False)
            for name, value in one.default_weights().items():
                self.fields[_weight(one.slug, name)] = forms.DecimalField(
                    label=name.capitalize(), min_value=0, max_value=1000, max_digits=6, decimal_places=2,
                    help_text=f"Default {value.normalize():f}.",
                )  # fmt: skip

    def groups(self) -> Iterator[Group]:
        for one in evaluators:
            weights = [self[_weight(one.slug, name)] for name in one.weights]
            yield Group(one, self[_switch(one.slug)], weights)

    def factors(self) -> dict[str, Any]:
        """What differs from the defaults, as a version stores it."""
        found: dict[str, Any] = {}
        for one in evaluators:
            said: dict[str, Any] = {}
            if not self.cleaned_data[_switch(one.slug)]:
                said["enabled"] = False
            changed = {
                name: float(self.cleaned_data[_weight(one.slug, name)])
                for name, value in one.default_weights().items()
                if self.cleaned_data[_weight(one.slug, name)] != value
            }
            if changed:
                said["weights"] = changed
            if said:
                found[one.slug] = said
        return found


def _switch(slug: str) -> str:
    return f"{slug}__enabled"


def _weight(slug: str, name: str) -> str:
    return f"{slug}__{name}"


def shown(version: FactorVersion | None) -> dict[str, Any]:
    """The form's values for a version; the defaults for none."""
    factors = made_from(version)
    values: dict[str, Any] = {"seen": version.number if version else 0}
    for one in evaluators:
        values[_switch(one.slug)] = one.slug in factors.weights
        for name, value in (factors.weights.get(one.slug) or one.default_weights()).items():
            values[_weight(one.slug, name)] = Decimal(value).normalize().__format__("f")
    return values


def describe(version: FactorVersion | None) -> list[tuple[str, bool, str]]:
    """Title, whether it counts, and weights of each factor under a version."""
    factors = made_from(version)
    found = []
    for one in evaluators:
        weights = factors.weights.get(one.slug)
        words = ", ".join(f"{name.lower()} {value.normalize():f}" for name, value in (weights or {}).items())
        found.append((one.title, weights is not None, words))
    return found


@admin.register(FactorVersion)
class FactorVersionAdmin(ReadOnlyAdmin):
    """Factors by organisation, and their versions."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return in_scope(super().get_queryset(request), user_of(request))

    def may_edit(self, request: HttpRequest, scope: Scope | None) -> bool:
        """What holds for everybody is changed by those who see everybody."""
        user: Any = request.user
        return user.has_perm("subscriptions.add_factorversion") and (scope is not None or sees_every_scope(user))

    def get_urls(self) -> list[URLPattern]:
        page = path(
            "organisation/<int:pk>/", self.admin_site.admin_view(self.factors_view), name="subscriptions_factors"
        )
        return [page, *super().get_urls()]

    def _organisations(self, request: HttpRequest) -> QuerySet[Scope]:
        user: Any = request.user
        return Scope.objects.all() if sees_every_scope(user) else Scope.objects.filter(pk__in=scopes_of(user))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Everybody, and each organisation that has subscriptions or a version of its own."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        rows = self.get_queryset(request).select_related("created_by").order_by("scope_id", "-number")
        newest = {version.scope_id: version for version in rows.distinct("scope_id")}
        own = FactorVersion.objects.filter(scope=OuterRef("pk"))
        used = self._organisations(request).filter(
            Exists(Subscription.objects.filter(scope=OuterRef("pk"))) | Exists(own)
        )
        organisations = [(one, newest.get(one.pk)) for one in used[:MOST]]
        context = {
            **self.admin_site.each_context(request),
            "title": "Risk factors",
            "opts": self.opts,
            "now": timezone.now(),
            "everybody": newest.get(None),
            "defaults": describe(newest.get(None)),
            "organisations": organisations,
        }
        return TemplateResponse(request, "subscriptions/factor_list.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A version stands in the history of its organisation."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        key = whole(object_id)
        version = None if key is None else self.get_queryset(request).filter(pk=key).first()
        if version is None:
            raise Http404
        address = reverse("admin:subscriptions_factors", args=[version.scope_id or EVERYBODY])
        return HttpResponseRedirect(f"{address}#v{version.number}")

    def factors_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The factors of one organisation. A POST makes the next version."""
        if request.method not in ("GET", "HEAD", "POST"):
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        scope = None
        if pk != EVERYBODY:
            scope = self._organisations(request).filter(pk=pk).first()
            if scope is None:
                raise Http404
        version = FactorVersion.objects.filter(scope=scope).order_by("-number").first()
        if request.method != "POST":
            return self._page(request, scope, version, FactorForm(initial=shown(self._holding(scope, version))))
        if not self.may_edit(request, scope):
            raise PermissionDenied
        return self._save(request, scope, version)

    def _holding(self, scope: Scope | None, version: FactorVersion | None) -> FactorVersion | None:
        """The version whose factors hold: the own one, else everybody's; ``seen`` is the own one's number."""
        found = version or (FactorVersion.objects.filter(scope=None).order_by("-number").first() if scope else None)
        if found is not None and version is None:
            found.number = 0
        return found

    def _save(self, request: HttpRequest, scope: Scope | None, version: FactorVersion | None) -> HttpResponse:
        form, number = FactorForm(request.POST), version.number if version else 0
        if form.is_valid() and form.cleaned_data["seen"] != number:
            form.add_error(
                None, f"Version {number} was made meanwhile; look at it below and decide again. (version_changed)"
            )
            form.data = {**request.POST.dict(), "seen": str(number)}
        if not form.is_valid():
            return self._page(request, scope, version, form, status=400)
        same = made_from(FactorVersion(number=number, factors=form.factors())).weights
        if version is not None and same == made_from(version).weights:
            messages.info(request, "Nothing was changed, so no version was made.")
            return HttpResponseRedirect(request.path)
        try:
            made = services.new_factor_version(
                scope=scope,
                factors=form.factors(),
                reason=form.cleaned_data["reason"],
                actor=user_of(request),
                now=timezone.now(),
            )
        except DomainError as refusal:
            form.add_error(
                None, "; ".join([refusal.message, *(text for texts in refusal.fields.values() for text in texts)])
            )
            return self._page(request, scope, version, form, status=refusal.status)
        messages.success(request, f"Version {made.number} holds from the next calculation on.")
        return HttpResponseRedirect(request.path)

    def _page(
        self,
        request: HttpRequest,
        scope: Scope | None,
        version: FactorVersion | None,
        form: FactorForm,
        status: int = 200,
    ) -> HttpResponse:
        versions = FactorVersion.objects.filter(scope=scope).select_related("created_by").order_by("-number")[:50]
        context = {
            **self.admin_site.each_context(request),
            "title": f"Risk factors of {scope.name if scope else 'everybody'}",
            "opts": self.opts,
            "now": timezone.now(),
            "scope": scope,
            "version": version,
            "form": form,
            "may_edit": self.may_edit(request, scope),
            "holding": describe(self._holding(scope, version)),
            "versions": [(one, describe(one)) for one in versions],
        }
        return TemplateResponse(request, "subscriptions/factors.html", context, status=status)
