"""How people are called on pages, and fields that offer people by these names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from django import forms
from django.forms.models import ModelChoiceIterator, ModelChoiceIteratorValue


def called(person: object | None) -> str:
    """A person's full name, or the login where no name is known; empty for nobody."""
    return "" if person is None else str(person)


class PeopleIterator(ModelChoiceIterator):
    """People in the order of their names; where two share a name, the login stands behind it in brackets."""

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        if self.field.empty_label is not None:
            yield "", self.field.empty_label
        people = list(self.queryset)
        counted = Counter(map(called, people))
        for person in sorted(people, key=lambda one: (called(one).casefold(), one.get_username())):
            name = called(person)
            words = name if counted[name] == 1 else f"{name} ({person.get_username()})"
            yield ModelChoiceIteratorValue(self.field.prepare_value(person), person), words


class PersonChoice(forms.ModelChoiceField):
    """One person, chosen by name."""

    iterator = PeopleIterator


class PeopleChoice(forms.ModelMultipleChoiceField):
    """Several people, chosen by name."""

    iterator = PeopleIterator
