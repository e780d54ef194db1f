"""Who wrote; one person's data handed out or erased on request."""

from __future__ import annotations

import json

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from apps.chat import people
from apps.chat.models import Conversation, Visitor
from apps.core.admin import ReadOnlyAdmin, ScopedAdmin
from apps.core.asking import Question, Words, ask, found, page, person
from apps.core.templatetags.desk import badge


class EraseForm(forms.Form):
    """Why somebody is forgotten; it cannot be taken back."""

    reason = forms.CharField(
        max_length=300, help_text="Such as: asked for by letter on 3 March. Names and addresses do not belong here."
    )
    sure = forms.BooleanField(label="It cannot be taken back.", required=True)


@admin.register(Visitor)
class VisitorAdmin(ReadOnlyAdmin, ScopedAdmin):
    """People who wrote."""

    list_display = ["__str__", "site", "email", "known", "seen_at"]
    list_filter = ["site"]
    list_select_related = ["site"]
    search_fields = ["name", "email", "external_id"]
    ordering = ["-seen_at"]
    show_full_result_count = False
    list_per_page = 50
    change_form_template = "chat/visitor.html"
    fields = ["site", "name", "email", "external_id", "language", "created_at", "seen_at", "erased_at"]

    @admin.display(description="signed in on the page")
    def known(self, visitor: Visitor) -> SafeString:
        """Whether the page signed who it is."""
        return badge("ok", "Yes") if visitor.external_id else badge("muted", "No")

    def get_urls(self) -> list[URLPattern]:
        return [
            page(self, "<int:pk>/export/", "export", export_view),
            page(self, "<int:pk>/erase/", "erase", erase_view),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, object] | None = None
    ) -> HttpResponse:
        """One person, with their conversations."""
        visitor = found(self, request, object_id, "site")
        seen = Conversation.objects.visible_to(person(request)).filter(visitor__in=people.same_person(visitor))
        more = {
            "visitor": visitor,
            "conversations": seen.select_related("site", "assignee").order_by("-opened_at")[:50],
            "may_erase": request.user.has_perm(people.ERASE),
            "now": timezone.now(),
        }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **more})


def export_view(modeladmin: VisitorAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """All that is kept of a person as a file. A POST, because it is recorded."""
    visitor = _mine(modeladmin, request, pk)
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    now = timezone.now()
    data = people.export(visitor_id=visitor.pk, actor=person(request), now=now)
    answer = HttpResponse(json.dumps(data, cls=DjangoJSONEncoder, indent=2), content_type="application/json")
    answer["Content-Disposition"] = f'attachment; filename="{people.file_name(visitor, now)}"'
    answer["Cache-Control"] = "no-store"
    return answer


def erase_view(modeladmin: VisitorAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Forget a person."""
    visitor = _mine(modeladmin, request, pk)
    back = reverse("admin:chat_visitor_change", args=[pk])
    count = Conversation.objects.filter(visitor__in=people.same_person(visitor)).count()

    def run(form: EraseForm) -> str:
        cleared = people.erase(
            visitor_id=pk, reason=form.cleaned_data["reason"], actor=person(request), now=timezone.now()
        )
        return f"Forgotten. Conversations cleared: {cleared}."

    words = Words(
        "Forget this person",
        "Forget for good",
        f"Name, address and identity go, and the words and files of {count} conversation{'s' if count != 1 else ''}. "
        "When something happened and what was decided stays, without them.",
        "danger",
    )
    question = Question(words, lambda data, files: EraseForm(data), run, back, back, str(visitor), "chat/form.html")
    return ask(modeladmin, request, question)


def _mine(modeladmin: VisitorAdmin, request: HttpRequest, pk: int) -> Visitor:
    """A person whose data this member of staff may hand out or erase."""
    if not request.user.has_perm(people.ERASE):
        raise PermissionDenied
    visitor: Visitor = found(modeladmin, request, pk, "site")
    return visitor
