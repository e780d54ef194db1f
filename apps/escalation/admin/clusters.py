"""Groups of similar reports with their members; a person merges two that are one, and splits off what is something else."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils import timezone

from apps.core.admin import ReadOnlyAdmin, ScopedAdmin
from apps.core.asking import Words, ask, found, page, person
from apps.core.numbers import plural
from apps.escalation import clusters
from apps.escalation.admin.asking import about
from apps.escalation.admin.shared import source_url, source_words
from apps.escalation.forms import PlainForm, text
from apps.escalation.models import Cluster, Proposal

SHOWN = 100


class ClusterChoice(forms.ModelChoiceField):
    """A group by its words and its size."""

    def label_from_instance(self, obj: Any) -> str:
        return f"{obj.pk}: {obj.title[:90]} ({plural(obj.reports, 'report')}, {plural(obj.customers, 'customer')})"


class MergeForm(PlainForm):
    """Into which group, and why."""

    into = ClusterChoice(Cluster.objects.none(), label="Into", empty_label="Choose a group")
    reason = text("Reason", "Stands in the decision log.")

    def __init__(self, *args: Any, others: QuerySet[Cluster], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choice = self.fields["into"]
        assert isinstance(choice, forms.ModelChoiceField)
        choice.queryset = others


class SplitForm(PlainForm):
    """Why a report is something else."""

    reason = text("Reason", "Stands in the decision log.")


@admin.register(Cluster)
class ClusterAdmin(ScopedAdmin, ReadOnlyAdmin):
    """Reports that say nearly the same."""

    list_display = ["title", "reports", "customers", "first_at", "last_at"]
    show_full_result_count = False
    list_per_page = 50
    sortable_by: ClassVar[list[str]] = []

    def get_queryset(self, request: HttpRequest) -> QuerySet[Cluster]:
        """The list leaves out what was merged; the page of such a one leads to where its members are."""
        rows = super().get_queryset(request)
        name = request.resolver_match.url_name if request.resolver_match else ""
        return rows.filter(merged_into=None) if name == "escalation_cluster_changelist" else rows

    def get_urls(self) -> list[URLPattern]:
        return [
            page(self, "<int:pk>/merge/", "merge", merge),
            page(self, "<int:pk>/split/<int:report>/", "split", split),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One group with its members, the latest first."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        cluster: Cluster = found(self, request, object_id, "scope")
        if cluster.merged_into_id is not None:
            messages.info(request, f"Group {cluster.pk} was merged into this one.")
            return HttpResponseRedirect(cluster_url(cluster.merged_into_id))
        subjects = [f"cluster:{pk}" for pk in (cluster.pk, *cluster.merged_clusters.values_list("pk", flat=True))]
        seen = Proposal.objects.visible_to(person(request)).filter(indicator="similar_reports", subject__in=subjects)
        members = cluster.members.order_by("-at", "-pk")
        context = {
            **self.admin_site.each_context(request),
            "title": cluster.title,
            "opts": self.opts,
            "cluster": cluster,
            "now": timezone.now(),
            "members": [
                (one, source_words(one.subject or one.source), source_url(one.subject)) for one in members[:SHOWN]
            ],
            "kept": members.count(),
            "proposals": seen.order_by("-pk") if request.user.has_perm("escalation.view_proposal") else [],
            "may_edit": request.user.has_perm(clusters.EDIT),
        }
        return TemplateResponse(request, "escalation/cluster.html", context)


def cluster_url(pk: int) -> str:
    """The page of a group."""
    return reverse("admin:escalation_cluster_change", args=[pk])


def _editable(modeladmin: ClusterAdmin, request: HttpRequest, pk: int) -> Cluster:
    cluster: Cluster = found(modeladmin, request, pk)
    if not request.user.has_perm(clusters.EDIT):
        raise PermissionDenied
    return cluster


def merge(modeladmin: ClusterAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Merge a group into another one of its scope."""
    cluster = _editable(modeladmin, request, pk)
    if cluster.merged_into_id is not None:
        return HttpResponseRedirect(cluster_url(cluster.merged_into_id))
    visible = Cluster.objects.visible_to(person(request)).filter(merged_into=None, scope=cluster.scope)
    others = visible.exclude(pk=cluster.pk).order_by("-last_at")
    others = visible.filter(pk__in=list(others.values_list("pk", flat=True)[:SHOWN])).order_by("-last_at")

    def run(form: MergeForm) -> str:
        kept = clusters.merge(
            from_id=cluster.pk, into_id=form.cleaned_data["into"].pk, reason=form.cleaned_data["reason"],
            actor=person(request), now=timezone.now(),
        )  # fmt: skip
        return f"Merged: {plural(kept.reports, 'report')} of {plural(kept.customers, 'customer')} stand in group {kept.pk} now."

    lead = f"“{cluster.title}”: its {plural(cluster.reports, 'report moves', 'reports move')}, and its open proposal goes on with them. This cannot be undone."
    words = Words("Merge into another group", "Merge", lead, "danger")
    question = about(
        words, lambda data: MergeForm(data, others=others), run, cluster_url(cluster.pk), f"Group {cluster.pk}"
    )
    return ask(modeladmin, request, question)


def split(modeladmin: ClusterAdmin, request: HttpRequest, pk: int, report: int) -> HttpResponse:
    """Take one report out of a group."""
    cluster = _editable(modeladmin, request, pk)
    member = cluster.members.filter(pk=report).first()
    if member is None:
        raise Http404

    def run(form: SplitForm) -> str:
        clusters.split(
            cluster_id=cluster.pk, report_id=report, reason=form.cleaned_data["reason"], actor=person(request),
            now=timezone.now(),
        )  # fmt: skip
        return f"{source_words(member.subject or member.source)} stands alone now."

    words = Words("Split off a report", "Split off", f"“{member.text[:300]}” leaves the group “{cluster.title}”.")
    return ask(modeladmin, request, about(words, SplitForm, run, cluster_url(cluster.pk), f"Group {cluster.pk}"))
