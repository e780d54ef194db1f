"""What people do with a flag: a page that shows what will happen, and a POST bound to the version that was shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.utils import timezone

from apps.core.asking import Question, Words, ask, found, person, show
from apps.core.errors import DomainError
from apps.escalation import flags, levels
from apps.escalation.admin.asking import about
from apps.escalation.admin.flag_page import flag_url
from apps.escalation.admin.shared import field_words, level_tone
from apps.escalation.details import EDITABLE, RAISE, may_edit, prefilled
from apps.escalation.forms import FeedbackForm, HandoverForm, LevelForm, MoveForm, NoteForm, TemplateForm
from apps.escalation.ladder import ENDS, STAGES, Transition, first_step, may_change_level, roles_of, way
from apps.escalation.models import Handover, RiskFlag

if TYPE_CHECKING:
    from apps.escalation.admin.flags import RiskFlagAdmin


def _ask(
    modeladmin: RiskFlagAdmin,
    request: HttpRequest,
    flag: RiskFlag,
    make: Callable[[Any], Any],
    run: Callable[[Any], str],
    words: Words,
) -> HttpResponse:
    return ask(modeladmin, request, _question(flag, words, make, run))


def _question(flag: RiskFlag, words: Words, make: Callable[[Any], Any], run: Callable[[Any], str]) -> Question:
    more = {"flag": flag, "now": timezone.now(), "tone": level_tone(flag.level)}
    return about(words, make, run, flag_url(flag), flag.title, "escalation/flag_form.html", more)


def _refused(modeladmin: RiskFlagAdmin, request: HttpRequest, flag: RiskFlag, refusal: DomainError) -> HttpResponse:
    question = _question(flag, Words("Not possible now", ""), lambda _: None, lambda _: "")
    return show(modeladmin, request, question, None, refusal)


def move(modeladmin: RiskFlagAdmin, request: HttpRequest, pk: int, name: str) -> HttpResponse:
    """Take the flag to the next step of the ladder."""
    flag: RiskFlag = found(modeladmin, request, pk)
    user, protocol = person(request), levels.in_force()
    if not modeladmin.has_ladder_permission(request):
        raise PermissionDenied
    chosen = way(flag.step, name)
    if chosen is None and request.method != "POST":
        refusal = flags.UnknownTransition(
            f"The flag is at “{flag.get_step_display()}”, where the ladder has no such way."
        )
        return _refused(modeladmin, request, flag, refusal)
    if chosen is None:
        return _taken(modeladmin, request, flag, name)
    if not chosen.roles & roles_of(user):
        raise PermissionDenied

    def make(data: Any) -> MoveForm:
        known = prefilled(flag, protocol) if chosen.handover == Handover.Direction.TO_RISK else {}
        return MoveForm(data, way=chosen, protocol=protocol, known=known, initial={"seen": flag.version})

    def run(form: MoveForm) -> str:
        moved = flags.move(
            flag_id=flag.pk, seen_version=form.cleaned_data["seen"], transition=name, actor=user, now=timezone.now(),
            reason=form.cleaned_data.get("reason", ""), fields=form.told(),
        )  # fmt: skip
        return f"{chosen.label}: the flag is now at “{moved.get_step_display()}”."

    tone = "danger" if name == "reject" else "primary"
    return _ask(modeladmin, request, flag, make, run, Words(chosen.label, chosen.label, _lead(flag, chosen), tone))


def _taken(modeladmin: RiskFlagAdmin, request: HttpRequest, flag: RiskFlag, name: str) -> HttpResponse:
    """A second click arrives when the flag has gone on: the service says whether it was the same person's."""
    seen = request.POST.get("seen", "")
    try:
        flags.move(
            flag_id=flag.pk, seen_version=int(seen) if seen.isdigit() and len(seen) < 10 else 0, transition=name,
            actor=person(request), now=timezone.now(),
        )  # fmt: skip
    except DomainError as refusal:
        return _refused(modeladmin, request, flag, refusal)
    return HttpResponseRedirect(flag_url(flag))


def _lead(flag: RiskFlag, chosen: Transition) -> str:
    """What will happen, in words."""
    target = chosen.target or first_step(flag.level)
    words = f"The flag goes from “{flag.get_step_display()}” to “{target.label}”."
    if target in ENDS:
        words += " Its deadlines end, and nobody is told any more."
    else:
        words += f" {STAGES[target].owner.value} is told and has to bring it on from there."
    if chosen.confirms and flag.level >= RiskFlag.Level.MEDIUM:
        words += " It is recorded in the risk register."
    return words


def level(modeladmin: RiskFlagAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Set another level."""
    flag: RiskFlag = found(modeladmin, request, pk)
    user = person(request)
    if not (modeladmin.has_ladder_permission(request) and (flag.step in ENDS or may_change_level(flag, user))):
        raise PermissionDenied

    def make(data: Any) -> LevelForm:
        return LevelForm(data, initial={"seen": flag.version, "level": flag.level})

    def run(form: LevelForm) -> str:
        given = form.cleaned_data
        changed = flags.change_level(
            flag_id=flag.pk, seen_version=given["seen"], level=given["level"], reason=given["reason"], actor=user,
            now=timezone.now(),
        )  # fmt: skip
        return f"The level is now {changed.get_level_display()}; its deadlines were counted again."

    lead = "Deadlines count again from when their step began; from level 4 on, Risk Management is told at once."
    return _ask(modeladmin, request, flag, make, run, Words("Change level", "Set level", lead))


def note(modeladmin: RiskFlagAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Add a note."""
    flag: RiskFlag = found(modeladmin, request, pk)
    if not request.user.has_perm(RAISE):
        raise PermissionDenied

    def run(form: NoteForm) -> str:
        flags.add_note(flag_id=flag.pk, actor=person(request), text=form.cleaned_data["text"], now=timezone.now())
        return "The note is on the flag."

    return _ask(modeladmin, request, flag, lambda data: NoteForm(data), run, Words("Add a note", "Add note"))


def feedback(modeladmin: RiskFlagAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Say whether the escalation was useful."""
    flag: RiskFlag = found(modeladmin, request, pk)
    user = person(request)
    if not user.has_perm(RAISE):
        raise PermissionDenied
    names = [(name, field_words(name)) for name in EDITABLE]
    given = flag.feedback.filter(by=user).first()
    initial = {}
    if given:
        useful = "yes" if given.useful else "no"
        initial = {"useful": useful, "missing_fields": given.missing_fields, "comment": given.comment}

    def run(form: FeedbackForm) -> str:
        flags.feedback(flag_id=flag.pk, actor=user, now=timezone.now(), **form.cleaned_data)
        return "Thank you; your feedback counts in the report."

    lead = "It helps to raise better flags. A second answer replaces your first."
    words = Words("Feedback", "Send feedback", lead)
    return _ask(modeladmin, request, flag, lambda data: FeedbackForm(data, missing=names, initial=initial), run, words)


def edit(modeladmin: RiskFlagAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Correct the fields of the template."""
    flag: RiskFlag = found(modeladmin, request, pk)
    user = person(request)
    if not may_edit(flag, user):
        raise PermissionDenied

    def make(data: Any) -> TemplateForm:
        # A copy, because a model form writes what was typed onto its instance.
        return TemplateForm(data, instance=RiskFlag.objects.get(pk=flag.pk), initial={"seen": flag.version})

    def run(form: TemplateForm) -> str:
        given = dict(form.cleaned_data)
        seen = given.pop("seen")
        flags.edit(flag_id=flag.pk, seen_version=seen, actor=user, now=timezone.now(), fields=given)
        return "The details are corrected."

    return _ask(
        modeladmin, request, flag, make, run, Words("Correct details", "Save", "Every change stands on the timeline.")
    )


def tell(modeladmin: RiskFlagAdmin, request: HttpRequest, pk: int, direction: str) -> HttpResponse:
    """Tell the other side more, without a step."""
    flag: RiskFlag = found(modeladmin, request, pk)
    user, protocol = person(request), levels.in_force()
    to_risk = direction == Handover.Direction.TO_RISK
    # Which side may tell which list, the service says.
    if not modeladmin.has_ladder_permission(request):
        raise PermissionDenied
    wanted = protocol.to_risk if to_risk else protocol.to_support
    initial = prefilled(flag, protocol) if to_risk else {}

    def run(form: HandoverForm) -> str:
        flags.handover(flag_id=flag.pk, direction=direction, fields=form.cleaned_data, actor=user, now=timezone.now())
        return "The information is on the flag."

    words = Words("Tell Risk Management more" if to_risk else "Tell Customer Support more", "Hand over")
    return _ask(modeladmin, request, flag, lambda data: HandoverForm(data, wanted=wanted, initial=initial), run, words)


def acknowledge(modeladmin: RiskFlagAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Say that one has the flag in hand."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    flag: RiskFlag = found(modeladmin, request, pk)
    if not modeladmin.has_ladder_permission(request):
        raise PermissionDenied
    try:
        flags.acknowledge(flag_id=flag.pk, actor=person(request), now=timezone.now())
    except DomainError as refusal:
        messages.error(request, f"{refusal.message} ({refusal.code})")
    else:
        messages.success(request, "You have it in hand; the other rungs are not told any more.")
    return HttpResponseRedirect(flag_url(flag))
