"""What is set up for the escalation: calendars, teams, categories, prepared answers, phrases."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, reverse
from django.utils import timezone

from apps.core.admin import ScopedAdmin
from apps.core.asking import Words, ask, found, page, person
from apps.core.models import User
from apps.core.names import PersonChoice
from apps.escalation import clocks, holiday_days
from apps.escalation.admin.asking import about
from apps.escalation.forms import PlainForm
from apps.escalation.models import Calendar, CalendarDay, CannedReply, Category, Member, OpenHours, Team
from apps.escalation.tickets import REQUIRABLE


class HoursForm(forms.ModelForm):
    """Hours as times of day; 24:00 is the end of a day."""

    opens = forms.CharField(help_text="09:00")
    closes = forms.CharField(help_text="17:30, or 24:00")

    class Meta:
        model = OpenHours
        fields = ["weekday", "opens", "closes"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial.update({name: clock_words(getattr(self.instance, name)) for name in ("opens", "closes")})

    def clean_opens(self) -> int:
        """In minutes after midnight."""
        return minutes_of(self.cleaned_data["opens"])

    def clean_closes(self) -> int:
        """In minutes after midnight."""
        return minutes_of(self.cleaned_data["closes"])

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if {"opens", "closes"} <= given.keys() and given["opens"] >= given["closes"]:
            self.add_error("closes", "It has to close after it opens; a night shift is two intervals.")
        return given


def clock_words(minutes: int) -> str:
    """``09:00`` of 540."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def minutes_of(words: str) -> int:
    """540 of ``09:00``.

    Raises:
        ValidationError: it is no time of day.
    """
    hours, _, rest = words.strip().partition(":")
    if not (hours.isdigit() and rest.isdigit() and len(hours) <= 2 and len(rest) == 2):
        raise ValidationError("Write a time such as 09:00.")
    minutes = int(hours) * 60 + int(rest)
    if int(rest) > 59 or minutes > 1440:
        raise ValidationError("A time between 00:00 and 24:00.")
    return minutes


class HoursInline(admin.TabularInline):
    """The weekly hours; a day may have several intervals."""

    model = OpenHours
    form = HoursForm
    extra = 1


class DayForm(forms.ModelForm):
    """A day that differs, with its hours as times of day."""

    intervals = forms.CharField(
        label="Open",
        required=False,
        max_length=120,
        help_text="Such as 09:00-12:00, 13:00-15:00; empty: closed all day.",
    )

    class Meta:
        model = CalendarDay
        fields = ["day", "name", "intervals", "active"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["intervals"] = ", ".join(
            f"{clock_words(opens)}-{clock_words(closes)}" for opens, closes in self.instance.intervals
        )

    def clean_intervals(self) -> list[list[int]]:
        """In minutes after midnight, in order, none inside another."""
        found = []
        for words in filter(None, (part.strip() for part in self.cleaned_data["intervals"].split(","))):
            opens, _, closes = words.partition("-")
            found.append([minutes_of(opens), minutes_of(closes)])
        edges = [edge for pair in found for edge in pair]
        if edges != sorted(set(edges)):
            raise ValidationError("Each interval closes after it opens, and they stand in order.")
        return found


class DaysInline(admin.TabularInline):
    """Days that differ."""

    model = CalendarDay
    form = DayForm
    fields: ClassVar[list[Any]] = ["day", "name", "intervals", "source", "active"]
    readonly_fields: ClassVar[list[str]] = ["source"]
    extra = 1
    verbose_name_plural = "days that differ: proposed ones count once they are active"


class ProposeForm(PlainForm):
    """Whose holidays, and of which year."""

    region = forms.CharField(max_length=12, help_text="A country or a part of it, such as DE or DE-BE.")
    year = forms.IntegerField(min_value=2000, max_value=2100)


class ActivateForm(PlainForm):
    """Which proposed days hold."""

    days = forms.MultipleChoiceField(choices=[], widget=forms.CheckboxSelectMultiple, label="Days that are free")

    def __init__(self, *args: Any, proposed: list[CalendarDay], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["days"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = [(str(day.pk), f"{day.day:%a %d %b %Y} {day.name} ({day.source})") for day in proposed]


@admin.register(Calendar)
class CalendarAdmin(admin.ModelAdmin):
    """Business calendars. Whoever changes one moves the running deadlines that count by it."""

    list_display = ["name", "time_zone", "always_open", "proposed"]
    prepopulated_fields = {"slug": ["name"]}
    inlines = [HoursInline, DaysInline]
    change_form_template = "escalation/calendar.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Calendar]:
        return super().get_queryset(request).annotate(days_count=Count("days"))

    @admin.display(description="days that differ")
    def proposed(self, calendar: Calendar) -> int:
        return int(calendar.days_count)  # type: ignore[attr-defined]  # annotated by get_queryset

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> dict[str, Any]:
        return {} if obj else super().get_prepopulated_fields(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Deadlines count by it."""
        return False

    def get_urls(self) -> list[URLPattern]:
        return [
            page(self, "<int:pk>/propose/", "propose", propose),
            page(self, "<int:pk>/activate/", "activate", activate),
            *super().get_urls(),
        ]

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        for day in form.instance.days.filter(active=True, activated_by=None):
            day.activated_by = person(request)
            day.save(update_fields=["activated_by"])
        moved = clocks.recompute(calendar=form.instance, now=timezone.now()) if change else 0
        if moved:
            messages.info(request, f"{moved} running deadline{'s' if moved > 1 else ''} moved.")


def _calendar(modeladmin: CalendarAdmin, request: HttpRequest, pk: int) -> tuple[Calendar, str]:
    calendar: Calendar = found(modeladmin, request, pk)
    if not modeladmin.has_change_permission(request, calendar):
        raise PermissionDenied
    return calendar, reverse("admin:escalation_calendar_change", args=[calendar.pk])


def propose(modeladmin: CalendarAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Propose the holidays of a region."""
    calendar, _ = _calendar(modeladmin, request, pk)

    def run(form: ProposeForm) -> str:
        count = holiday_days.propose(calendar=calendar, actor=person(request), **form.cleaned_data)
        return f"{count} new day{'' if count == 1 else 's'} proposed. Choose which ones hold."

    lead = "The days are added as proposals. None counts until you have activated it."
    url = reverse("admin:escalation_calendar_activate", args=[calendar.pk])
    question = about(
        Words("Propose holidays", "Propose", lead),
        lambda data: ProposeForm(data, initial={"year": timezone.now().year}), run, url, calendar.name,
    )  # fmt: skip
    return ask(modeladmin, request, question)


def activate(modeladmin: CalendarAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Activate proposed days."""
    calendar, url = _calendar(modeladmin, request, pk)
    proposed = list(calendar.days.filter(active=False).order_by("day")[:400])
    if not proposed:
        messages.info(request, "No proposed day waits to be activated.")
        return HttpResponseRedirect(url)

    def run(form: ActivateForm) -> str:
        days = [int(key) for key in form.cleaned_data["days"]]
        moved = holiday_days.activate(calendar=calendar, days=days, actor=person(request), now=timezone.now())
        return f"{len(days)} day{'' if len(days) == 1 else 's'} active; {moved} running deadlines moved."

    lead = "Deadlines that run are counted again with these days, and say so."
    question = about(
        Words("Activate holidays", "Activate", lead), lambda data: ActivateForm(data, proposed=proposed), run, url,
        calendar.name,
    )  # fmt: skip
    return ask(modeladmin, request, question)


class MemberInline(admin.TabularInline):
    """Who works in the team, with how much room."""

    model = Member
    extra = 1
    fields: ClassVar[list[Any]] = ["user", "capacity", "available", "skills"]

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "user":
            kwargs["queryset"] = User.objects.filter(is_active=True, is_staff=True).order_by("username")
            kwargs["form_class"] = PersonChoice
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


class Undeletable(admin.ModelAdmin):
    """Rows that tickets and flags name; they are made inactive instead."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Team)
class TeamAdmin(ScopedAdmin, Undeletable):
    """Teams and who works in them."""

    list_display = ["name", "scope", "calendar", "active"]
    list_select_related = ["scope", "calendar"]
    inlines = [MemberInline]


class CategoryForm(forms.ModelForm):
    """A category; what a ticket needs is chosen, not written."""

    required_fields = forms.MultipleChoiceField(
        choices=[(name, name.replace("_", " ").capitalize()) for name in REQUIRABLE],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="What a ticket needs beside a subject.",
    )

    class Meta:
        model = Category
        fields = [
            "name", "slug", "team", "needs_skill", "required_fields", "first_response", "next_response", "resolution",
            "active",
        ]  # fmt: skip


@admin.register(Category)
class CategoryAdmin(Undeletable):
    """What tickets are about."""

    form = CategoryForm
    list_display = ["name", "team", "needs_skill", "first_response", "next_response", "resolution", "active"]
    list_select_related = ["team"]
    prepopulated_fields = {"slug": ["name"]}

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> dict[str, Any]:
        return {} if obj else super().get_prepopulated_fields(request, obj)


@admin.register(CannedReply)
class CannedReplyAdmin(admin.ModelAdmin):
    """Prepared answers."""

    list_display = ["title", "category"]
    list_filter = ["category"]
    list_select_related = ["category"]
    search_fields = ["title", "body"]
