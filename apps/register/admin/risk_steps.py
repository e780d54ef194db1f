"""What people do with a risk: a page that shows what will happen, and a POST bound to the version that was shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils import timezone

from apps.core.asking import Question, Words, ask, found, page, person
from apps.register import acceptances, matrices, mitigations, risks
from apps.register.admin import risk_forms as forms
from apps.register.admin.forms import ReasonForm, SeenForm
from apps.register.models import Acceptance, Rating, Risk, RiskAssessment
from apps.register.refusals import WrongState
from apps.register.rights import may, may_with_risk

Run = Callable[[Any], str]


def pages(modeladmin: ModelAdmin) -> list[URLPattern]:
    """The pages of this module."""
    steps = (edit, rate, request, approve, reject, withdraw, mitigate, link, close, reopen)
    return [
        page(modeladmin, "new/", "new", new),
        *(page(modeladmin, f"<int:pk>/{step.__name__}/", step.__name__, step) for step in steps),
    ]


def _ask(
    modeladmin: ModelAdmin, request: HttpRequest, risk: Risk, words: Words, make: Any, run: Run, **more: Any
) -> HttpResponse:
    url = reverse("admin:register_risk_change", args=[risk.pk])
    latest = risk.ratings.filter(latest=True).order_by("pk")
    question = Question(
        words, lambda data, _: make(data), run, url, url, risk.reference, "register/risk_form.html",
        {"risk": risk, "latest": latest, "now": timezone.now(), **more},
    )  # fmt: skip
    return ask(modeladmin, request, question)


def _own(modeladmin: ModelAdmin, request: HttpRequest, pk: int, permission: str = risks.CHANGE) -> Risk:
    """The risk, for those who may do this with it."""
    risk: Risk = found(modeladmin, request, pk, "assessment__matrix", "owner", "category")
    if not may_with_risk(person(request), risk, permission):
        raise PermissionDenied
    return risk


def new(modeladmin: ModelAdmin, request: HttpRequest) -> HttpResponse:
    """Record a risk by hand."""
    user = person(request)
    if not (modeladmin.has_view_permission(request) and may(user, "register.add_risk")):
        raise PermissionDenied
    made: list[Risk] = []

    def make(data: Any, _: Any) -> forms.NewRiskForm:
        return forms.NewRiskForm(data, assessments=RiskAssessment.objects.visible_to(user), initial={"owner": user.pk})

    def run(form: forms.NewRiskForm) -> str:
        risk = risks.create_risk(source=f"desk:{uuid4()}", actor=user, now=timezone.now(), **form.cleaned_data)
        made.append(risk)
        return f"{risk.reference} is recorded. Score it, and say what is done about it."

    back = reverse("admin:register_risk_changelist")
    words = Words("Record a risk", "Record", "It gets the next reference, and stands in the decision log.")
    question = Question(
        words, make, run, lambda: reverse("admin:register_risk_change", args=[made[0].pk]), back, "Risk register",
        "register/form.html",
    )  # fmt: skip
    return ask(modeladmin, request, question)


def edit(modeladmin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Change words, category, owner or treatment."""
    risk = _own(modeladmin, request, pk)
    names = ("title", "description", "cause", "consequence", "owner_role", "treatment", "proximity")
    initial = {name: getattr(risk, name) for name in names}
    initial |= {"seen": risk.version, "category": risk.category_id, "owner": risk.owner_id}

    def run(form: forms.EditRiskForm) -> str:
        changes = dict(form.cleaned_data)
        seen, reason = changes.pop("seen"), changes.pop("reason")
        after = risks.edit_risk(
            risk_id=pk, seen_version=seen, changes=changes, actor=person(request), now=timezone.now(), reason=reason
        )
        return "Nothing was different." if after.version == seen else "The risk is changed."

    lead = "Every change stands in the history. An acceptance is bound to the risk as it was, and ends when it changes."
    return _ask(
        modeladmin, request, risk, Words("Edit the risk", "Save", lead),
        lambda data: forms.EditRiskForm(data, role=risk.owner_role, initial=initial), run,
    )  # fmt: skip


def rate(modeladmin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Score the risk."""
    risk = _own(modeladmin, request, pk)
    version = risks.matrix_for(risk)
    scales = matrices.data_of(version)
    latest = risk.ratings.filter(kind=Rating.Kind.CURRENT, latest=True).first()
    initial = {"seen": risk.version, "kind": request.GET.get("kind", Rating.Kind.CURRENT)}
    if latest and latest.matrix_id == version.pk:
        initial |= {"probability": latest.probability, "impact": latest.impact}

    def run(form: forms.RateForm) -> str:
        given = form.cleaned_data
        made = risks.rate(
            risk_id=pk, seen_version=given["seen"], kind=given["kind"], probability=given["probability"],
            impact=given["impact"], reason=given["reason"], actor=person(request), now=timezone.now(), matrix=version,
        )  # fmt: skip
        return f"{made.get_kind_display().partition(':')[0]}: {made.level}, severity {made.severity} of 100."

    lead = f"By “{version}”. The former score stays as it was given; an acceptance of the risk ends by a new one."
    return _ask(
        modeladmin, request, risk, Words("Score the risk", "Score", lead),
        lambda data: forms.RateForm(data, scales=scales, initial=initial), run,
    )  # fmt: skip


def request(modeladmin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for the risk to be accepted."""
    risk = _own(modeladmin, request, pk, acceptances.REQUEST)

    def run(form: forms.RequestForm) -> str:
        given = form.cleaned_data
        made = acceptances.request(
            risk_id=pk, seen_version=given["seen"], reason=given["reason"], expires_on=given["expires_on"],
            actor=person(request), now=timezone.now(),
        )  # fmt: skip
        return f"Asked for, until {made.expires_on:%-d %b %Y}. Somebody else decides; they are told."

    lead = "Somebody else decides. The decision holds for the risk as it is now, and ends on the day that you choose."
    return _ask(
        modeladmin, request, risk, Words("Ask for acceptance", "Ask", lead),
        lambda data: forms.RequestForm(data, initial={"seen": risk.version}), run,
    )  # fmt: skip


def _open(risk: Risk) -> Acceptance:
    """The open request or acceptance of a risk.

    Raises:
        WrongState: there is none.
    """
    asked = risk.acceptances.filter(state__in=Acceptance.OPEN).select_related("requested_by").first()
    if asked is None:
        raise WrongState("No acceptance is asked for, and none holds.")
    return asked


def _decide(
    modeladmin: ModelAdmin, request: HttpRequest, pk: int, words: Words, run: Callable[[Acceptance, str, str], str]
) -> HttpResponse:
    """A page about the open acceptance; the form carries what of it was seen."""
    risk: Risk = found(modeladmin, request, pk, "category")
    asked = risk.acceptances.filter(state__in=Acceptance.OPEN).select_related("requested_by").first()

    def make(data: Any) -> forms.DecideForm | None:
        if data is None and asked is None:
            return None
        return forms.DecideForm(data, initial={"seen": risk.version, "digest": asked.digest if asked else ""})

    def done(form: forms.DecideForm) -> str:
        return run(_open(risk), form.cleaned_data["reason"], form.cleaned_data["digest"])

    differs = acceptances.differences(asked) if asked else []
    return _ask(modeladmin, request, risk, words, make, done, asked=asked, differs=differs)


def approve(modeladmin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Accept the risk."""
    if not may(person(request), acceptances.DECIDE):
        raise PermissionDenied

    def run(asked: Acceptance, reason: str, digest: str) -> str:
        acceptances.approve(
            acceptance_id=asked.pk, actor=person(request), now=timezone.now(), reason=reason, seen_digest=digest
        )
        return f"The risk is accepted until {asked.expires_on:%-d %b %Y}."

    lead = (
        "The risk is accepted as it stands here, until the day that was asked for. If it changes, the acceptance ends."
    )
    return _decide(modeladmin, request, pk, Words("Accept the risk", "Accept", lead), run)


def reject(modeladmin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Refuse to accept the risk."""
    if not may(person(request), acceptances.DECIDE):
        raise PermissionDenied

    def run(asked: Acceptance, reason: str, _: str) -> str:
        acceptances.reject(acceptance_id=asked.pk, actor=person(request), now=timezone.now(), reason=reason)
        return "Rejected. Whoever asked is told why."

    return _decide(
        modeladmin, request, pk, Words("Reject the request", "Reject", "The risk stays open.", "danger"), run
    )


def withdraw(modeladmin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Take a request or an acceptance back."""
    if not may(person(request), "register.view_acceptance"):
        raise PermissionDenied

    def run(asked: Acceptance, reason: str, _: str) -> str:
        acceptances.withdraw(acceptance_id=asked.pk, actor=person(request), now=timezone.now(), reason=reason)
        return "Taken back. The risk is open."

    return _decide(modeladmin, request, pk, Words("End the acceptance", "End it", "The risk is open from now on."), run)


def mitigate(modeladmin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Add a mitigation."""
    risk = _own(modeladmin, request, pk, mitigations.ADD)

    def run(form: forms.MitigationForm) -> str:
        mitigations.add(risk=risk, actor=person(request), now=timezone.now(), **form.cleaned_data)
        return "The mitigation is added. Link a control to it, so that it can be verified."

    return _ask(
        modeladmin, request, risk, Words("Add a mitigation", "Add", "Its owner is told, and reminded before it is due."),
        lambda data: forms.MitigationForm(data), run,
    )  # fmt: skip


def link(modeladmin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Link a flag, a card or a ticket."""
    risk = _own(modeladmin, request, pk)

    def run(form: forms.LinkForm) -> str:
        risks.link(risk_id=pk, actor=person(request), now=timezone.now(), **form.cleaned_data)
        return "Linked."

    words = Words("Link", "Link", "What is linked is shown on the risk's page, with a way there.")
    return _ask(modeladmin, request, risk, words, lambda data: forms.LinkForm(data), run)


def close(modeladmin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Close the risk."""
    return _status(
        modeladmin, request, pk, risks.close, Words("Close the risk", "Close", "It does not count any more.")
    )


def reopen(modeladmin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Open the risk again."""
    return _status(modeladmin, request, pk, risks.reopen, Words("Open the risk again", "Open", "It counts again."))


def _status(
    modeladmin: ModelAdmin, request: HttpRequest, pk: int, service: Callable[..., Risk], words: Words
) -> HttpResponse:
    risk = _own(modeladmin, request, pk)

    def run(form: SeenForm) -> str:
        given = form.cleaned_data
        after = service(
            risk_id=pk, seen_version=given["seen"], reason=given["reason"], actor=person(request), now=timezone.now()
        )
        return f"The risk is {after.get_status_display().lower()}."

    return _ask(modeladmin, request, risk, words, lambda data: ReasonForm(data, initial={"seen": risk.version}), run)
