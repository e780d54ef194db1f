"""How files are read: a declaration, not code. Each mapping is one TOML file in ``apps/orders/mappings``.

A mapping names its files, the columns in them that are times, and for each kind of row where its fields come
from. A field is one of:

==============================  ====================================================================
``"column"``                    the column's value
``"=text"``                     this text
``{ first = ["a", "b"] }``      the first column that has a value
``{ latest = ["a", "b"] }``     the latest of several times
``{ given = ["a"], then = "x", otherwise = "y" }``   one text if one of the columns has a value, else the other
``{ text = "{a}-{b}" }``        columns put together
``{ column = "a", values = { x = "y" }, otherwise = "z" }``   the column's value translated
==============================  ====================================================================
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from apps.orders.intake.writer import TARGETS

FOLDER = Path(__file__).resolve().parent.parent / "mappings"
KINDS = {target.name: target for target in TARGETS}
THE_FILE = "*"


class UnknownMapping(Exception):
    """There is no such mapping, or it is not well-formed; the text says which."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class First(_Strict):
    first: list[str]


class Latest(_Strict):
    latest: list[str]


class Given(_Strict):
    given: list[str]
    then: str
    otherwise: str


class Text(_Strict):
    text: str


class Translated(_Strict):
    column: str
    values: dict[str, str]
    otherwise: str | None = None


FieldSpec = str | First | Latest | Given | Text | Translated


class RowSpec(_Strict):
    """Rows of one kind made from the lines of a file.

    Args:
        kind: such as ``orders``.
        when: columns; lines without a value in any of them make no such row.
        fields: field of the row to where it comes from.
    """

    kind: str
    when: list[str] = []
    fields: dict[str, FieldSpec]

    @model_validator(mode="after")
    def known(self) -> Self:
        if self.kind not in KINDS:
            raise ValueError(f"there is no kind {self.kind!r}; there are {', '.join(KINDS)}")
        known = {name for name, _ in KINDS[self.kind].source_columns()}
        strange = sorted(set(self.fields) - known)
        if strange:
            raise ValueError(f"{self.kind} have no fields {', '.join(strange)}")
        return self


class FileSpec(_Strict):
    """One file of a mapping.

    Args:
        name: of the file in the folder; ``*`` for the one file that is given itself.
        times: columns with times, blanked if they are later than the time as of which is imported.
        promises: columns with times that were known when the order was made, such as an estimate; never blanked.
        optional: columns that may be missing from the file.
        born: the column that says since when a line exists; later lines than those as of which is imported are left out.
        needed: whether the folder must have this file.
    """

    name: str
    rows: list[RowSpec]
    times: list[str] = []
    promises: list[str] = []
    optional: list[str] = []
    born: str = ""
    needed: bool = True


class Alias(_Strict):
    """A file in which one id stands for another, such as a customer's of one order for the person's."""

    file: str
    alias: str
    stands_for: str


class Mapping(_Strict):
    """A declared way to read files.

    Args:
        total_from: makes an order's total the sum of its transactions or lines.
        customers: where orders name customers by an alias.
    """

    title: str
    store: str = Field(description="Name of the store if none is given.")
    currency: str = "USD"
    time_zone: str = Field("UTC", description="Of times without an offset.")
    total_from: Literal["", "transactions", "lines"] = ""
    customers: Alias | None = None
    files: list[FileSpec]

    @property
    def one_file(self) -> bool:
        return self.files[0].name == THE_FILE


def names() -> list[str]:
    """The mappings that there are."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> Mapping:
    """Read a mapping by its name, or from a TOML file of one's own.

    Raises:
        UnknownMapping: if there is none, or it is wrong.
    """
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if name not in names() and not (name.endswith(".toml") and path.is_file()):
        raise UnknownMapping(f"There is no mapping {name!r}. There are: {', '.join(names())}; or give a TOML file.")
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return Mapping.model_validate(content)
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise UnknownMapping(f"The mapping {name!r} is not well-formed: {error}") from error
