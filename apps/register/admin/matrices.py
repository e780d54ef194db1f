"""Matrices with their versions, and the tree of categories."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.admin import ReadOnlyAdmin
from apps.core.asking import Question, Words, ask, found, page, person
from apps.core.errors import DomainError
from apps.core.templatetags.desk import badge
from apps.register import categories, matrices
from apps.register.admin.forms import PlainForm, text
from apps.register.admin.shared import Plain, tone
from apps.register.models import Category, Matrix, MatrixVersion, Rating
from apps.register.rights import may


class VersionForm(PlainForm):
    """A new version of a matrix, as data."""

    seen = forms.IntegerField(widget=forms.HiddenInput, min_value=1)
    scales = forms.JSONField(
        label="Scales and cells",
        widget=forms.Textarea(attrs={"rows": 24, "class": "mono", "spellcheck": "false"}),
        help_text="Steps and levels from the lowest up; cells: for each probability, the level that each impact makes.",
    )
    reason = text("Reason", "Why the matrix changes.", rows=2)


@admin.register(Matrix)
class MatrixAdmin(ReadOnlyAdmin, Plain):
    """Matrices: what level a probability and an impact make. A version is never changed, and scores keep theirs."""

    list_display = ["link", "newest", "slug"]
    list_display_links = None
    sortable_by: ClassVar[list[str]] = []

    @admin.display(description="matrix")
    def link(self, matrix: Matrix) -> SafeString:
        url = reverse("admin:register_matrix_change", args=[matrix.pk])
        return format_html('<a href="{}"><strong>{}</strong></a>', url, matrix.title)

    @admin.display(description="newest version")
    def newest(self, matrix: Matrix) -> str:
        version = matrix.versions.order_by("-number").first()
        return f"v{version.number}, {version.created_at:%Y-%m-%d}" if version else "–"

    def get_urls(self) -> list[URLPattern]:
        return [page(self, "<int:pk>/version/", "version", new_version), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One matrix with its versions."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        matrix: Matrix = found(self, request, object_id)
        versions = list(matrix.versions.select_related("created_by").order_by("-number"))
        context = {
            **self.admin_site.each_context(request),
            "title": matrix.title,
            "opts": self.opts,
            "matrix": matrix,
            "now": timezone.now(),
            "versions": [(one, grid(one), Rating.objects.filter(matrix=one)[:1].exists()) for one in versions],
            "may_add": may(person(request), matrices.ADD),
            "media": self.media,
        }
        return TemplateResponse(request, "register/matrix.html", context)


def grid(version: MatrixVersion) -> list[tuple[str, list[tuple[SafeString, int]]]]:
    """A version's cells, the highest probability first: each with its level and severity."""
    data = matrices.data_of(version)
    rows = []
    for p in range(len(data.probability), 0, -1):
        made = [matrices.score_in(data, p, i) for i in range(1, len(data.impact) + 1)]
        rows.append(
            (data.probability[p - 1], [(badge(tone(one.level, data.levels), one.level), one.severity) for one in made])
        )
    return rows


def new_version(modeladmin: MatrixAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Write a new version."""
    matrix: Matrix = found(modeladmin, request, pk)
    if not may(person(request), matrices.ADD):
        raise PermissionDenied
    newest = matrix.versions.order_by("-number").first()
    initial = {"seen": newest.number if newest else 1, "scales": newest.data if newest else {}}

    def make(data: Any, _: Any) -> VersionForm:
        return VersionForm(data, initial=initial)

    def run(form: VersionForm) -> str:
        given = form.cleaned_data
        made = matrices.new_version(
            slug=matrix.slug, data=given["scales"], reason=given["reason"], actor=person(request), now=timezone.now(),
            seen_number=given["seen"],
        )  # fmt: skip
        return f"{made} counts for scores from now on. Earlier scores keep their version."

    url = reverse("admin:register_matrix_change", args=[pk])
    words = Words("New version", "Write", "Scores that were given keep their version; nothing is scored again.")
    return ask(modeladmin, request, Question(words, make, run, url, url, matrix.title, "register/form.html"))


class CategoryForm(forms.ModelForm):
    """A category; where it would stand is tried before it is saved."""

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if not self.errors:
            row = Category(pk=self.instance.pk, name=given["name"], parent=given.get("parent"))
            try:
                categories.path_of(row)
            except DomainError as refusal:
                for name, problems in refusal.fields.items():
                    self.add_error(name, problems)
        return given


@admin.register(Category)
class CategoryAdmin(Plain):
    """The tree of risk categories; a node's path follows from its place."""

    list_display = ["path", "name"]
    search_fields = ["path"]
    fields = ["parent", "name"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        return super().get_form(request, obj, change=change, **{**kwargs, "form": CategoryForm})

    def save_model(self, request: HttpRequest, obj: Category, form: Any, change: bool) -> None:
        categories.place(obj)
