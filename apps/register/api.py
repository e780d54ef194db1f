"""The API of the register: risks, scores, acceptances, mitigations, controls and assessments."""

from __future__ import annotations

from typing import Any

from django.db.models import Prefetch, QuerySet
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.models import User
from apps.register import acceptances, controls, mitigations, risks
from apps.register import api_shapes as shapes
from apps.register.api_base import BOUND, PAGE, WRITE, RegisterView, documented, query
from apps.register.models import Acceptance, Category, Control, Mitigation, Rating, Risk, RiskAssessment
from apps.register.refusals import MissingInformation, NotFound

_ONE = {200: shapes.RiskDetailSerializer}
_RELATED = ("assessment", "category", "owner", "scope")


class RiskView(RegisterView):
    """What the views of risks share."""

    def rows(self) -> QuerySet[Risk]:
        """The risks that the person sees."""
        found: QuerySet[Risk] = Risk.objects.visible_to(self.person).select_related(*_RELATED)
        return found

    def visible(self, risk_id: int) -> Risk:
        """The risk, if it is there for this person.

        Raises:
            NotFound: it is not.
        """
        scores = Rating.objects.select_related("matrix__matrix", "rated_by").order_by("-pk")
        measures = Mitigation.objects.select_related("owner").prefetch_related("controls")
        asked = Acceptance.objects.select_related("requested_by", "decided_by")
        whole_risk = self.rows().prefetch_related(
            Prefetch("ratings", scores), Prefetch("mitigations", measures), Prefetch("acceptances", asked), "links"
        )
        found = whole_risk.filter(pk=risk_id).first()
        if found is None:
            raise NotFound
        return found

    def detail(self, risk_id: int) -> Any:
        """The risk as it is now."""
        risk = self.visible(risk_id)
        verified = controls.verify(risk.mitigations.all(), now=timezone.now())
        return shapes.RiskDetailSerializer(risk, context={"verified": verified}).data

    def named(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values of a body with rows instead of the names of people, categories and assessments."""
        found = dict(values)
        if found.get("owner") is not None:
            found["owner"] = somebody(found["owner"])
        if found.get("category") is not None:
            found["category"] = _one(Category.objects.filter(path=found["category"]), "category")
        if found.get("assessment") is not None:
            mine = RiskAssessment.objects.visible_to(self.person).filter(slug=found["assessment"])
            found["assessment"] = _one(mine, "assessment")
        return found


def somebody(username: str) -> User:
    """The person of a name.

    Raises:
        MissingInformation: there is nobody of this name who works here.
    """
    found: User = _one(User.objects.filter(username=username, is_active=True, is_staff=True), "owner")
    return found


def _one(rows: QuerySet[Any], field: str) -> Any:
    found = rows.first()
    if found is None:
        raise MissingInformation(fields={field: ["There is none of this name."]})
    return found


class RisksView(RiskView):
    """All risks that a person sees."""

    @documented(
        {200: shapes.RiskPage}, name="risks", summary="Risks, newest first", refused=(400, 401, 403, 429),
        parameters=[
            *PAGE,
            query("status", {"type": "array", "items": {"type": "string", "enum": shapes.STATUSES}}, "May be given several times."),
            query("severity_min", {"type": "integer", "minimum": 0, "maximum": 100}, "Of the current score."),
        ],
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Risks of your scopes, of the whole company, and your own."""
        rows = self.rows().filter(status__in=self.chosen("status", shapes.STATUSES))
        least = self.number("severity_min", 0, 100)
        return self.page(rows.filter(severity__gte=least) if least is not None else rows, shapes.RiskSerializer)

    @documented(
        {201: shapes.RiskDetailSerializer}, name="risk_record", summary="Record a risk", request=shapes.RiskBody,
        refused=WRITE,
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Record a risk; the same `source` again answers the risk that is there."""
        values = self.values(shapes.RiskBody)

        def work() -> tuple[int, Any]:
            risk = risks.create_risk(actor=self.person, now=timezone.now(), **self.named(values))
            return 201, self.detail(risk.pk)

        return self.answer_once(work)


class OneRiskView(RiskView):
    """One risk."""

    @documented(_ONE, name="risk", summary="A risk")
    def get(self, request: Request, risk_id: int) -> Response:
        """The risk with its scores, mitigations and acceptances; its `ETag` is its version."""
        found = self.detail(risk_id)
        return Response(found, headers={"ETag": f'"{found["version"]}"'})

    @documented(_ONE, name="risk_edit", summary="Change a risk", request=shapes.RiskEditBody, refused=BOUND)
    def patch(self, request: Request, risk_id: int) -> Response:
        """Change words, category, owner or treatment. An acceptance is bound to the risk as it was, and ends with it."""
        self.visible(risk_id)
        seen, values = self.seen(), self.values(shapes.RiskEditBody)
        reason = values.pop("reason")

        def work() -> tuple[int, Any]:
            risks.edit_risk(
                risk_id=risk_id, seen_version=seen, changes=self.named(values), actor=self.person, now=timezone.now(),
                reason=reason,
            )  # fmt: skip
            return 200, self.detail(risk_id)

        return self.answer_bound(work)


class RatingsView(RiskView):
    """Scores of a risk."""

    @documented({201: shapes.RiskDetailSerializer}, name="risk_rate", summary="Score a risk", request=shapes.RatingBody, refused=BOUND)  # fmt: skip
    def post(self, request: Request, risk_id: int) -> Response:
        """Give the risk a score. The former one stays as it was given."""
        self.visible(risk_id)
        seen, values = self.seen(), self.values(shapes.RatingBody)

        def work() -> tuple[int, Any]:
            risks.rate(risk_id=risk_id, seen_version=seen, actor=self.person, now=timezone.now(), **values)
            return 201, self.detail(risk_id)

        return self.answer_bound(work)


class StatusView(RiskView):
    """Status of a risk."""

    @documented(
        _ONE, name="risk_status", summary="Close, open or treat a risk", request=shapes.StatusBody, refused=BOUND
    )
    def post(self, request: Request, risk_id: int) -> Response:
        """Set the status. An acceptance ends when the risk is closed or opened."""
        self.visible(risk_id)
        seen, values = self.seen(), self.values(shapes.StatusBody)
        service = {"open": risks.reopen, "treated": risks.treat, "closed": risks.close}[values["to"]]

        def work() -> tuple[int, Any]:
            service(risk_id=risk_id, seen_version=seen, reason=values["reason"], actor=self.person, now=timezone.now())
            return 200, self.detail(risk_id)

        return self.answer_bound(work)


class AcceptancesView(RiskView):
    """Requests to accept a risk."""

    @documented({201: shapes.AcceptanceSerializer}, name="acceptance_request", summary="Ask for acceptance", request=shapes.RequestBody, refused=BOUND)  # fmt: skip
    def post(self, request: Request, risk_id: int) -> Response:
        """Ask that the risk be accepted until a day. Somebody else decides."""
        self.visible(risk_id)
        seen, values = self.seen(), self.values(shapes.RequestBody)

        def work() -> tuple[int, Any]:
            made = acceptances.request(
                risk_id=risk_id, seen_version=seen, actor=self.person, now=timezone.now(), **values
            )
            return 201, shapes.AcceptanceSerializer(made).data

        return self.answer_bound(work)


class AcceptanceDecisionView(RegisterView):
    """Decisions about requests."""

    sees = "register.view_acceptance"

    @documented({200: shapes.AcceptanceSerializer}, name="acceptance_decide", summary="Accept a risk, or refuse to", request=shapes.DecisionBody, refused=WRITE)  # fmt: skip
    def post(self, request: Request, acceptance_id: int) -> Response:
        """Decide about somebody else's request. 409 `acceptance_outdated` if the risk is not what was asked for any more."""
        values = self.values(shapes.DecisionBody)

        def work() -> tuple[int, Any]:
            common: dict[str, Any] = {"actor": self.person, "now": timezone.now(), "reason": values["reason"]}
            if values["accept"]:
                made = acceptances.approve(acceptance_id=acceptance_id, seen_digest=values["digest"], **common)
            else:
                made = acceptances.reject(acceptance_id=acceptance_id, **common)
            return 200, shapes.AcceptanceSerializer(made).data

        return self.answer_once(work)


class MitigationsView(RiskView):
    """Mitigations of a risk."""

    @documented({201: shapes.MitigationSerializer}, name="mitigation_add", summary="Add a mitigation", request=shapes.MitigationBody, refused=WRITE)  # fmt: skip
    def post(self, request: Request, risk_id: int) -> Response:
        """Say what is done about the risk."""
        risk, values = self.visible(risk_id), self.values(shapes.MitigationBody)

        def work() -> tuple[int, Any]:
            made = mitigations.add(risk=risk, actor=self.person, now=timezone.now(), **self.named(values))
            return 201, shapes.MitigationSerializer(made).data

        return self.answer_once(work)


class OneMitigationView(RiskView):
    """One mitigation."""

    sees = "register.view_mitigation"

    def found(self, mitigation_id: int) -> Mitigation:
        """The mitigation, if it is there for this person.

        Raises:
            NotFound: it is not.
        """
        rows = Mitigation.objects.visible_to(self.person).select_related("owner").prefetch_related("controls")
        row: Mitigation | None = rows.filter(pk=mitigation_id).first()
        if row is None:
            raise NotFound
        return row

    @documented({200: shapes.MitigationSerializer}, name="mitigation", summary="A mitigation")
    def get(self, request: Request, mitigation_id: int) -> Response:
        """The mitigation with its controls; its `ETag` is its version."""
        row = self.found(mitigation_id)
        return Response(shapes.MitigationSerializer(row).data, headers={"ETag": f'"{row.version}"'})

    @documented({200: shapes.MitigationSerializer}, name="mitigation_edit", summary="Change a mitigation", request=shapes.MitigationEditBody, refused=BOUND)  # fmt: skip
    def patch(self, request: Request, mitigation_id: int) -> Response:
        """Change it, or say how far it is."""
        self.found(mitigation_id)
        seen, values = self.seen(), self.values(shapes.MitigationEditBody)
        reason = values.pop("reason")

        def work() -> tuple[int, Any]:
            mitigations.update(
                mitigation_id=mitigation_id, seen_version=seen, changes=self.named(values), actor=self.person,
                now=timezone.now(), reason=reason,
            )  # fmt: skip
            return 200, shapes.MitigationSerializer(self.found(mitigation_id)).data

        return self.answer_bound(work)


class ControlsView(RegisterView):
    """Controls, with what they say now."""

    sees = "register.view_control"

    @documented({200: shapes.ControlPage}, name="controls", summary="Controls, newest first", refused=(400, 401, 403, 429), parameters=PAGE)  # fmt: skip
    def get(self, request: Request) -> Response:
        """Controls and what they say now: by their check, or by the last attestation while it holds."""
        rows = Control.objects.select_related("owner")
        return self.page(
            rows, shapes.ControlSerializer, lambda found: {"words": controls.words_of(found, timezone.now())}
        )


class AttestationsView(RegisterView):
    """Attestations of a control."""

    sees = "register.view_control"

    @documented({201: shapes.AttestationSerializer}, name="control_attest", summary="Attest a control", request=shapes.AttestationBody, refused=WRITE)  # fmt: skip
    def post(self, request: Request, control_id: int) -> Response:
        """Give your word for a control, with a link to what shows it. Files are handed in on the desk."""
        values = self.values(shapes.AttestationBody)

        def work() -> tuple[int, Any]:
            made = controls.attest(control_id=control_id, actor=self.person, now=timezone.now(), **values)
            return 201, shapes.AttestationSerializer(made).data

        return self.answer_once(work)


class AssessmentsView(RegisterView):
    """Assessments."""

    sees = "register.view_riskassessment"

    @documented({200: shapes.AssessmentPage}, name="assessments", summary="Assessments, newest first", refused=(400, 401, 403, 429), parameters=PAGE)  # fmt: skip
    def get(self, request: Request) -> Response:
        """Assessments of your scopes."""
        rows = RiskAssessment.objects.visible_to(self.person).select_related("owner", "scope")
        return self.page(rows, shapes.AssessmentSerializer)
