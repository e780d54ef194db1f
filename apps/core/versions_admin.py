"""The page of a rule's thresholds and their history; a POST makes the next version."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, ClassVar

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from apps.core.admin import ReadOnlyAdmin
from apps.core.errors import DomainError
from apps.core.facts import label
from apps.core.numbers import whole
from apps.core.rules import Registry
from apps.core.thresholds import ThresholdForm
from apps.core.versions import SettingsVersion, current, editions

SHOWN = 100


class SettingsVersionAdmin(ReadOnlyAdmin):
    """Rules of one kind and the versions of their settings. A version is never edited; the form makes the next one.

    Attributes:
        rules: the rules of this kind.
        page_name: of the address of a rule's page.
        page_template: draws it.
        last: settings that stand after the others.
        runs: what the switch is called.
    """

    rules: ClassVar[Registry[Any]]
    page_name: ClassVar[str]
    page_template: ClassVar[str]
    last: ClassVar[Container[str]] = ()
    runs: ClassVar[str] = "The rule runs"

    def make(self, request: HttpRequest, rule: Any, form: ThresholdForm) -> SettingsVersion:
        """Make the next version, through the service of the app.

        Raises:
            DomainError: the service refuses.
        """
        raise NotImplementedError

    def more(self, request: HttpRequest, rule: Any) -> dict[str, Any]:
        """What the page shows besides."""
        return {}

    def has_edit_permission(self, request: HttpRequest) -> bool:
        """Whether this person makes versions."""
        return request.user.has_perm(f"{self.opts.app_label}.add_{self.opts.model_name}")

    def get_urls(self) -> list[URLPattern]:
        page = path("rule/<slug:slug>/", self.admin_site.admin_view(self.rule_view), name=self.page_name)
        return [page, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A version stands in the history of its rule."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        key = whole(object_id)
        version = None if key is None else self.model._default_manager.filter(pk=key).first()
        if version is None or version.rule not in self.rules:
            raise Http404
        return HttpResponseRedirect(f"{reverse(f'admin:{self.page_name}', args=[version.rule])}#v{version.number}")

    def rule_view(self, request: HttpRequest, slug: str) -> HttpResponse:
        """One rule: its thresholds and their history. A POST makes the next version."""
        if request.method not in ("GET", "HEAD", "POST"):
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        if not self.has_view_permission(request) or (
            request.method == "POST" and not self.has_edit_permission(request)
        ):
            raise PermissionDenied
        if slug not in self.rules:
            raise Http404
        rule = self.rules[slug]
        version: SettingsVersion = current(self.model, rule)
        if request.method == "POST":
            return self._save(request, rule, version)
        return self._page(request, rule, version, self._form(rule, version))

    def _form(self, rule: Any, version: SettingsVersion) -> ThresholdForm:
        initial = {**_in_force(rule, version), "enabled": version.enabled, "seen": version.number}
        form = ThresholdForm(schema=rule.settings, last=self.last, initial=initial)
        form.fields["enabled"].label = self.runs
        return form

    def _save(self, request: HttpRequest, rule: Any, version: SettingsVersion) -> HttpResponse:
        form = ThresholdForm(request.POST, schema=rule.settings, last=self.last)
        form.fields["enabled"].label = self.runs
        if form.is_valid() and form.cleaned_data["seen"] != version.number:
            form.add_error(
                None,
                f"Version {version.number} was made meanwhile; look at it below and decide again. (version_changed)",
            )
            form.data = {**request.POST.dict(), "seen": str(version.number)}
        if not form.is_valid():
            return self._page(request, rule, version, form, status=400)
        if form.values() == _in_force(rule, version) and form.cleaned_data["enabled"] == version.enabled:
            messages.info(request, "Nothing was changed, so no version was made.")
            return HttpResponseRedirect(request.path)
        try:
            made = self.make(request, rule, form)
        except DomainError as refusal:
            form.add_error(None, f"{refusal.message} ({refusal.code})")
            return self._page(request, rule, version, form, status=refusal.status)
        messages.success(request, f"Version {made.number} of {rule.title} holds from now on.")
        return HttpResponseRedirect(request.path)

    def _page(
        self, request: HttpRequest, rule: Any, version: SettingsVersion, form: ThresholdForm, status: int = 200
    ) -> HttpResponse:
        kept = self.model._default_manager.filter(rule=rule.slug).select_related("created_by").order_by("-number")
        shown = _in_force(rule, version)
        context = {
            **self.admin_site.each_context(request),
            "title": rule.title,
            "opts": self.opts,
            "now": timezone.now(),
            "rule": rule,
            "version": version,
            "form": form,
            "may_edit": self.has_edit_permission(request),
            "thresholds": [
                (field.title or label(name), shown[name], field.description)
                for name, field in rule.settings.model_fields.items()
            ],
            "editions": editions(list(kept[:SHOWN]), rule.settings, self.runs),
            **self.more(request, rule),
        }
        return TemplateResponse(request, self.page_template, context, status=status)


def _in_force(rule: Any, version: SettingsVersion) -> dict[str, Any]:
    """A version's thresholds; those that are newer than it have their defaults."""
    return {**rule.settings().model_dump(mode="json"), **version.settings}
