"""The page of a person's own API tokens: made here, shown once, seen by how they begin, revoked."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from apps.core import tokens
from apps.core.models import ApiToken, User

DEFAULT_DAYS = 90


class TokenForm(forms.Form):
    """What a token is for, and how long it is valid."""

    name = forms.CharField(max_length=100, label="What it is for", help_text="Such as the program that will use it.")
    days = forms.IntegerField(
        min_value=1, max_value=tokens.LONGEST_DAYS, initial=DEFAULT_DAYS, label="Valid for so many days",
        help_text=f"{tokens.LONGEST_DAYS} at most.",
    )  # fmt: skip

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self.user = user

    def clean_name(self) -> str:
        """Two of one name could not be told apart; a page that is reloaded after making one makes no second."""
        name = str(self.cleaned_data["name"])
        if ApiToken.objects.alive(timezone.now()).filter(user=self.user, name=name).exists():
            raise forms.ValidationError("You have a token of this name already. Revoke it, or take another name.")
        return name


def _person(request: HttpRequest) -> User:
    """The person behind a request that passed ``login_required``."""
    assert isinstance(request.user, User)
    return request.user


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
@sensitive_variables("secret")
def own_tokens(request: HttpRequest) -> HttpResponse:
    """The own tokens, and a form that makes one. The answer to the form is the only page that shows the secret."""
    person, now, secret, status = _person(request), timezone.now(), "", 200
    form = TokenForm(request.POST if request.method == "POST" else None, user=person)
    if request.method == "POST":
        status = 400
        if form.is_valid():
            try:
                _, secret = tokens.issue(user=person, **form.cleaned_data, now=now)
            except tokens.TooManyTokens as refusal:
                form.add_error(None, refusal.message)
                status = refusal.status
            else:
                form, status = TokenForm(user=person), 201
    context = {
        **admin.site.each_context(request),
        "title": "API tokens",
        "form": form,
        "secret": secret,
        "tokens": ApiToken.objects.alive(now).filter(user=person),
        "most": tokens.MOST_TOKENS,
        "now": now,
        "all_url": reverse("admin:core_apitoken_changelist")
        if person.is_staff and person.has_perm("core.view_apitoken")
        else "",
    }
    return render(request, "core/tokens.html", context, status=status)


@login_required
@require_POST
def revoke_own(request: HttpRequest, token_id: UUID) -> HttpResponse:
    """End one of the own tokens. Somebody else's is not found."""
    person = _person(request)
    token = ApiToken.objects.filter(user=person, pk=token_id).first()
    if token is None:
        raise Http404
    tokens.revoke(token, actor=person)
    messages.success(request, f"“{token.name}” lets nobody in any more.")
    return HttpResponseRedirect(reverse("own_tokens"))
