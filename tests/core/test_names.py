"""People by their names in fields that offer them."""

from __future__ import annotations

import pytest
from django import forms

from apps.core.models import User
from apps.core.names import PeopleChoice, PersonChoice, called
from tests.core.factories import UserFactory

pytestmark = pytest.mark.django_db


class Form(forms.Form):
    owner = PersonChoice(User.objects.order_by("username"), required=False, empty_label="Nobody")
    told = PeopleChoice(User.objects.order_by("username"), required=False)


def test_two_of_one_name_are_told_apart_by_their_logins() -> None:
    first = UserFactory(username="aa", first_name="Rita", last_name="Risk")
    UserFactory(username="ab", first_name="Rita", last_name="Risk")
    UserFactory(username="ac", first_name="Ada", last_name="Abel")
    UserFactory(username="nameless")
    form = Form({"owner": first.pk, "told": [first.pk]})
    offered = [words for _, words in form.fields["owner"].choices]  # type: ignore[attr-defined]
    assert offered == ["Nobody", "Ada Abel", "nameless", "Rita Risk (aa)", "Rita Risk (ab)"]
    assert [words for _, words in form.fields["told"].choices] == offered[1:]  # type: ignore[attr-defined]
    assert form.is_valid()
    assert form.cleaned_data["owner"] == first
    assert "selected>Rita Risk (aa)</option>" in str(form)


def test_nobody_has_no_name_and_a_label_keeps_its_words() -> None:
    assert (called(None), called("system:sweep")) == ("", "system:sweep")
