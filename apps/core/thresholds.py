"""Forms made from a rule's schema: each threshold with its title, description, unit and bounds."""

from __future__ import annotations

from collections.abc import Container, Mapping
from decimal import Decimal
from typing import Any

from django import forms
from pydantic import BaseModel, ValidationError


class ThresholdForm(forms.Form):
    """A rule's settings, whether it runs, and why this version is made. ``seen`` is the version that was looked at."""

    seen = forms.IntegerField(widget=forms.HiddenInput)
    enabled = forms.BooleanField(label="The rule runs", required=False, help_text="When off, it finds nothing.")
    reason = forms.CharField(
        max_length=300,
        widget=forms.Textarea(attrs={"rows": 2, "maxlength": 300}),
        help_text="Stands beside the version for ever.",
    )

    def __init__(self, *args: Any, schema: type[BaseModel], last: Container[str] = (), **kwargs: Any) -> None:
        """Args:
        schema: of the settings.
        last: names of settings that stand after the others, as those that every rule has.
        """
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self.schema = schema
        self.settings: BaseModel | None = None
        for name, field in threshold_fields(schema).items():
            self.fields[name] = field
        names = sorted(schema.model_fields, key=lambda name: name in last)
        self.order_fields([*names, "enabled", "reason"])

    def clean(self) -> dict[str, Any]:
        """Let the schema itself judge, so that the form can accept nothing that the rule would refuse."""
        cleaned = super().clean() or self.cleaned_data
        names = self.schema.model_fields
        if any(name in self.errors for name in names):
            return cleaned
        values = {name: cleaned[name] for name in names if cleaned.get(name) is not None}
        try:
            self.settings = self.schema.model_validate(values)
        except ValidationError as error:
            for problem in error.errors(include_url=False):
                place = str(problem["loc"][0]) if problem["loc"] else None
                words = str(problem["msg"]).removeprefix("Value error, ")
                self.add_error(place if place in self.fields else None, words)
        return cleaned

    def values(self) -> dict[str, Any]:
        """The settings as JSON, once the form is valid."""
        assert self.settings is not None
        return self.settings.model_dump(mode="json")


def threshold_fields(schema: type[BaseModel]) -> dict[str, forms.Field]:
    """A form field for each setting, from its JSON schema."""
    described = schema.model_json_schema()
    definitions = described.get("$defs", {})
    return {name: _field(name, _resolved(part, definitions)) for name, part in described["properties"].items()}


def _resolved(part: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """A property with its reference followed, and of alternatives (a number or its text) the number."""
    found = dict(part)
    if reference := found.pop("$ref", ""):
        found = {**definitions[reference.rsplit("/", 1)[-1]], **found}
    choices = [choice for choice in found.pop("anyOf", []) if choice.get("type") != "null"]
    if choices:
        number = next((choice for choice in choices if choice.get("type") in ("number", "integer")), choices[0])
        found = {**number, **found}
    return found


def _field(name: str, part: Mapping[str, Any]) -> forms.Field:
    common: dict[str, Any] = {"label": part.get("title", name), "help_text": _help(part)}
    if part.get("enum"):
        return forms.ChoiceField(choices=[(value, value) for value in part["enum"]], **common)
    match part.get("type"):
        case "boolean":
            return forms.BooleanField(required=False, **common)
        case "integer":
            return forms.IntegerField(**_bounds(part), **common)
        case "number":
            field = forms.DecimalField(**_bounds(part), **common)
            field.widget.attrs["step"] = "any"
            return field
        case "array":
            return ListField(part.get("items", {}).get("type", "string"), **common)
    return forms.CharField(max_length=part.get("maxLength", 500), required=part.get("default") != "", **common)


def _bounds(part: Mapping[str, Any]) -> dict[str, Any]:
    """Bounds that belong to the range; open ones are left to the schema."""
    found = {}
    for name, key in (("min_value", "minimum"), ("max_value", "maximum")):
        if key in part:
            found[name] = part[key] if part.get("type") == "integer" else Decimal(str(part[key]))
    return found


def _help(part: Mapping[str, Any]) -> str:
    """The description, the bounds and the default."""
    low, high = part.get("minimum"), part.get("maximum")
    above, below = part.get("exclusiveMinimum"), part.get("exclusiveMaximum")
    limits = [
        f"from {low}" if low is not None else f"above {above}" if above is not None else "",
        f"to {high}" if high is not None else f"below {below}" if below is not None else "",
    ]
    bounds = " ".join(limit for limit in limits if limit)
    default = part.get("default")
    shown = {True: "yes", False: "no"}.get(default, default) if isinstance(default, bool) else default
    if isinstance(shown, list):
        shown = ", ".join(map(str, shown)) or "none"
    tail = [
        f"{bounds[:1].upper()}{bounds[1:]}." if bounds else "",
        f"Default: {shown}." if shown not in (None, "") else "",
    ]
    return " ".join(text for text in (part.get("description", ""), *tail) if text)


class ListField(forms.CharField):
    """Several values, one to a line or separated by commas."""

    def __init__(self, kind: str, **kwargs: Any) -> None:
        self.kind = kind
        super().__init__(required=False, widget=forms.Textarea(attrs={"rows": 3}), **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(str, value)) if isinstance(value, (list, tuple)) else value

    def to_python(self, value: Any) -> Any:
        parts = [
            part.strip() for part in (super().to_python(value) or "").replace("\n", ",").split(",") if part.strip()
        ]
        if self.kind not in ("integer", "number"):
            return parts
        try:
            return [int(part) if self.kind == "integer" else Decimal(part) for part in parts]
        except (ValueError, ArithmeticError) as error:
            raise forms.ValidationError("Write numbers, separated by commas.") from error
