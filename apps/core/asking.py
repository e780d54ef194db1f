"""Pages that ask before something is done: a GET that shows what will happen, and a POST that does it.

A change is bound to the version that the page showed. If the row changed meanwhile, nothing is done; the page comes back
with what was typed and with the new version, so that the person can decide again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from apps.core.errors import DomainError, request_id
from apps.core.models import User
from apps.core.numbers import whole
from apps.core.people import user_of

READS = ["GET", "HEAD"]
METHODS = [*READS, "POST"]


@dataclass(frozen=True, slots=True)
class Words:
    """The words around a form.

    Attributes:
        title: heading of the page.
        verb: on the button.
        lead: what will happen.
        tone: of the button.
    """

    title: str
    verb: str
    lead: str = ""
    tone: str = "primary"


@dataclass(frozen=True)
class Question:
    """What is asked about a row.

    Attributes:
        make: builds the form, given what was sent and its files (or None twice).
        run: does it, given the valid form, and says in words what was done.
        url: where the person gets afterwards, or a function that says so once it is done.
        back: where cancelling leads.
        crumb: how the row is called.
        more: what the template shows of the row.
    """

    words: Words
    make: Callable[[Any, Any], Any]
    run: Callable[[Any], str]
    url: str | Callable[[], str]
    back: str
    crumb: str
    template: str
    more: dict[str, Any] = field(default_factory=dict)


def person(request: HttpRequest) -> User:
    """Who asks; the admin site lets staff in only."""
    return user_of(request)


def found(modeladmin: admin.ModelAdmin, request: HttpRequest, pk: str | int, *related: str) -> Any:
    """A row that this person may see.

    Raises:
        Http404: there is none, or it is outside the person's scope; which of the two is not told.
        PermissionDenied: the person's role does not include such rows.
    """
    if not modeladmin.has_view_permission(request):
        raise PermissionDenied
    key = whole(str(pk))
    row = None if key is None else modeladmin.get_queryset(request).select_related(*related).filter(pk=key).first()
    if row is None:
        raise Http404
    return row


def page(modeladmin: admin.ModelAdmin, route: str, name: str, view: Callable[..., HttpResponseBase]) -> URLPattern:
    """A page of a model besides the stock five; its view is given the admin object, the request and the route's parts."""

    def bound(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        return view(modeladmin, request, **kwargs)

    opts = modeladmin.opts
    full = f"{opts.app_label}_{opts.model_name}_{name}"
    return path(route, modeladmin.admin_site.admin_view(bound), name=full)


def ask(modeladmin: admin.ModelAdmin, request: HttpRequest, question: Question) -> HttpResponse:
    """Ask (GET), or do it (POST)."""
    if request.method not in METHODS:
        return HttpResponseNotAllowed(METHODS)
    if request.method != "POST":
        return show(modeladmin, request, question, question.make(None, None))
    form = question.make(request.POST, request.FILES)
    if not form.is_valid():
        return show(modeladmin, request, question, form, status=400)
    try:
        done = question.run(form)
    except DomainError as refusal:
        version = getattr(refusal, "version", None)
        if version is not None:
            data = request.POST.copy()
            data["seen"] = str(version)
            return show(modeladmin, request, question, question.make(data, request.FILES), refusal)
        blame(form, refusal)
        return show(modeladmin, request, question, form, refusal)
    messages.success(request, done)
    return HttpResponseRedirect(question.url() if callable(question.url) else question.url)


def show(
    modeladmin: admin.ModelAdmin,
    request: HttpRequest,
    question: Question,
    form: Any,
    refusal: DomainError | None = None,
    status: int = 200,
) -> HttpResponse:
    """The page of a question, with the status of a refusal; None as form shows a refusal alone."""
    context = {
        **modeladmin.admin_site.each_context(request),
        "opts": modeladmin.opts,
        "title": question.words.title,
        "words": question.words,
        "form": form,
        "back": question.back,
        "crumb": question.crumb,
        "refusal": refusal,
        "changed": getattr(refusal, "version", None) is not None,
        "request_id": request_id(),
        **question.more,
    }
    return TemplateResponse(request, question.template, context, status=refusal.status if refusal else status)


def press(request: HttpRequest, run: Callable[[], str], url: str) -> HttpResponse:
    """Do what a single button asks for (POST), say what was done or why not, and go to a page."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    try:
        messages.success(request, run())
    except DomainError as refusal:
        if refusal.status == 403:
            raise PermissionDenied from None
        messages.error(request, f"{refusal.message} ({refusal.code})")
    return HttpResponseRedirect(url)


def blame(form: Any, refusal: DomainError) -> None:
    """Put what a service refused beside the fields that it names."""
    for name, problems in refusal.fields.items():
        form.add_error(name if name in form.fields else None, problems)
