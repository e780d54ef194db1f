"""The form that asks what the columns of a foreign table are, and what the words of its scales mean."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import QueryDict

from apps.register.matrices import data_of
from apps.register.models import RiskImport
from apps.register.papers.foreign import LEFT, NOTE, TARGETS, steps_of
from apps.register.papers.importing import newest_matrices, suggestion
from apps.register.papers.register import matrix_name

_PARTS = {"probability": "Probability", "impact": "Impact", "level": "Level"}
_WORDS = {
    NOTE: "Add to the description",
    LEFT: "Leave out",
    "title": "Title",
    "number": "Number in the document",
    "next_review_on": "Next review",
    "owner_role": "Owner: a role or department",
    "owner": "Owner: a user name here",
    "mitigations": "Mitigations, planned",
    "mitigations.done": "Mitigations, in place",
    "category": "Category",
}
_NOT_OFFERED = frozenset({"reference"})


def words_of(target: str) -> str:
    """How a target of a column is called."""
    kind, _, part = target.partition(".")
    return _WORDS.get(target) or (f"Score, {kind}: {part}" if part else target.replace("_", " ").capitalize())


class MappingForm(forms.Form):
    """One choice for each column, and one for each word of a scale.

    Args:
        row: an import that keeps its table.
        query: which sheet and which matrix the person chose, if others than the suggested ones.
    """

    use_required_attribute = False

    def __init__(self, data: Any = None, *, row: RiskImport, query: QueryDict) -> None:
        super().__init__(data)
        self.matrices = newest_matrices()
        chosen = next((one for one in self.matrices if matrix_name(one) == query.get("matrix")), None)
        self.guess = suggestion(row, sheet=query.get("sheet", "")[:100], matrix=chosen)
        self.matrix = next(one for one in self.matrices if matrix_name(one) == self.guess.mapping.matrix)
        self.file_name = row.file_name
        choices = sorted(((one, words_of(one)) for one in TARGETS if one not in _NOT_OFFERED), key=_order)
        for place, (name, target) in enumerate(self.guess.mapping.columns.items()):
            samples = "; ".join(" ".join(text.split())[:60] for text in self.guess.samples.get(name, []))
            self.fields[f"column_{place}"] = forms.ChoiceField(
                label=name, choices=choices, initial=target, required=False, help_text=samples
            )
        steps = steps_of(data_of(self.matrix))
        for part, words in self.guess.words.items():
            for place, word in enumerate(words):
                self.fields[f"{part}_{place}"] = forms.ChoiceField(
                    label=word, choices=[("", "No step: list it")] + [(step, step) for step in steps[part]],
                    initial=self.guess.mapping.scales[part].get(word, ""), required=False,
                )  # fmt: skip

    def columns(self) -> list[Any]:
        """The fields of columns."""
        return [self[name] for name in self.fields if name.startswith("column_")]

    def scales(self) -> list[tuple[str, list[Any]]]:
        """The fields of words, by the part of a score."""
        parts = [
            (title, [self[name] for name in self.fields if name.startswith(f"{part}_")])
            for part, title in _PARTS.items()
        ]
        return [(title, fields) for title, fields in parts if fields]

    def matrix_links(self) -> list[tuple[str, str, bool]]:
        """The matrices that the scales can be put on: name, title, and whether it is the one that is shown."""
        return [(matrix_name(one), str(one), one == self.matrix) for one in self.matrices]

    def sheet_links(self) -> list[tuple[str, bool]]:
        """The sheets, if there are several."""
        sheets = self.guess.sheets
        return [(name, name == self.guess.mapping.sheet) for name in sheets] if len(sheets) > 1 else []

    def clean(self) -> dict[str, Any]:
        """One column is the title."""
        values = super().clean() or {}
        chosen = [values.get(name) for name in self.fields if name.startswith("column_")]
        if "title" not in chosen:
            raise forms.ValidationError("Say which column is the title of the risks.", "no_title")
        return values

    def mapping(self) -> dict[str, Any]:
        """The mapping that was chosen, as plain data."""
        values = self.cleaned_data
        names = list(self.guess.mapping.columns)
        return {
            "columns": {name: values[f"column_{place}"] for place, name in enumerate(names)},
            "scales": {
                part: {word: values[f"{part}_{place}"] for place, word in enumerate(words)}
                for part, words in self.guess.words.items()
            },
            "matrix": self.guess.mapping.matrix,
            "sheet": self.guess.mapping.sheet,
        }


def _order(choice: tuple[str, str]) -> tuple[bool, bool, str]:
    """The title first, what leaves or adds last."""
    target, words = choice
    return target in (NOTE, LEFT), target != "title", words
