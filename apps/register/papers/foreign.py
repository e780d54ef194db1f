"""Tables that others made: a mapping says which column is what, and which step each word of their scales means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from apps.core.errors import DomainError
from apps.register.matrices import FIVE, THREE, MatrixData, data_of, in_force
from apps.register.models import MatrixVersion
from apps.register.papers.prose import split_measures
from apps.register.papers.records import Builder
from apps.register.papers.refusals import BadPaper
from apps.register.papers.register import matrix_name
from apps.register.papers.rows import Row
from apps.register.papers.shapes import KINDS, Keys, Paper, PaperMitigation, PaperRisk, Unread
from apps.register.papers.vocabulary import LABELS, RISK, STEPS, plain

# What a column may be mapped to beside the risk's fields and its scores.
NOTE, LEFT = "note", ""
MEASURES: dict[str, dict[str, Any]] = {"mitigations": {}, "mitigations.done": {"status": "done", "progress": "100"}}
SCORES = tuple(f"{kind}.{part}" for kind in KINDS for part in ("probability", "impact", "level", "reason"))
TARGETS = (*RISK, "category", *SCORES, *MEASURES, NOTE, LEFT)
_SAMPLES = 3
_MAX_WORDS = 60


@dataclass(frozen=True, slots=True)
class Mapping:
    """How a table is read.

    Attributes:
        columns: head of a column to what it is; the empty text leaves a column out, ``note`` adds it to the description.
        scales: probability, impact and level: each foreign word to a step of the matrix.
        matrix: the matrix's version, such as ``five-by-five v1``.
        sheet: of a workbook; the first one if empty.
        category: of risks whose row gives none.
    """

    columns: dict[str, str]
    scales: dict[str, dict[str, str]] = field(default_factory=dict)
    matrix: str = ""
    sheet: str = ""
    title: str = ""
    category: str = ""

    @classmethod
    def of(cls, data: dict[str, Any]) -> Mapping:
        """A mapping of plain data.

        Raises:
            BadPaper: if it is none.
        """
        columns, scales = data.get("columns"), data.get("scales", {})
        if not isinstance(columns, dict) or not isinstance(scales, dict):
            raise BadPaper("A mapping has columns and scales, each by name.")
        wrong = {str(target) for target in columns.values() if target not in TARGETS}
        if wrong:
            raise BadPaper(f"A column cannot be mapped to {', '.join(sorted(wrong))}.")
        if "title" not in columns.values():
            raise BadPaper("One column has to be mapped to the title.")
        words = {
            part: {plain(str(word)): str(step) for word, step in (scales.get(part) or {}).items()}
            for part in ("probability", "impact", "level")
        }
        texts = {name: str(data.get(name, "")) for name in ("matrix", "sheet", "title", "category")}
        return cls(columns, words, **texts)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What a person is asked about a table.

    Attributes:
        samples: some texts of each column.
        words: the distinct words of each scale, by probability, impact and level, for the mapping as it is guessed.
        sheets: of a workbook.
    """

    mapping: Mapping
    samples: dict[str, list[str]]
    words: dict[str, list[str]]
    sheets: list[str]


class MappingNeeded(DomainError):
    """The table's columns are not the register's. Carries what is guessed."""

    code = "mapping_needed"
    message = "Say which column is what, and what the words of its scales mean."
    status = 422

    def __init__(self, suggestion: Suggestion) -> None:
        self.suggestion = suggestion
        super().__init__()


def suggest(
    found: list[Row], sheet: str = "", matrix: MatrixVersion | None = None, said: Mapping | None = None
) -> Suggestion:
    """Guess a mapping by the words of a table; what is not known goes to the description.

    Args:
        sheet: of a workbook, the first one if empty.
        matrix: that the scales are put on; guessed by their words if None.
        said: a mapping that a person gave; only what it leaves open is guessed.
    """
    sheet = sheet or found[0].sheet
    of_sheet = [row for row in found if row.sheet == sheet]
    head, body = (of_sheet[0], of_sheet[1:]) if of_sheet else (Row(1, ()), [])
    names = _names(head)
    columns = _columns(names) | {
        name: target for name, target in (said.columns if said else {}).items() if name in names
    }
    samples = {name: [row.cells[at] for row in body if _cell(row, at)][:_SAMPLES] for at, name in enumerate(names)}
    words = scale_words(names, body, columns)
    matrix = matrix or in_force(THREE if _all_of_three(words) else FIVE)
    steps = steps_of(data_of(matrix))
    scales = {part: {word: _step(steps[part], word) for word in words[part]} for part in words}
    for part, given in (said.scales if said else {}).items():
        scales[part] |= {word: given[plain(word)] for word in scales[part] if given.get(plain(word)) in steps[part]}
    mapping = Mapping(columns, scales, matrix_name(matrix), sheet)
    return Suggestion(mapping, samples, words, list(dict.fromkeys(row.sheet for row in found if row.sheet)))


def _columns(names: list[str]) -> dict[str, str]:
    columns: dict[str, str] = {}
    for name in names:
        target = _target(name)
        free = target not in columns.values() or target in MEASURES
        columns[name] = target if target and free else NOTE
    if names and "title" not in columns.values():
        columns[names[0]] = "title"
    return columns


def _target(name: str) -> str:
    words = plain(name)
    if words in ("existing controls", "mesures existantes"):
        return "mitigations.done"
    target = LABELS.get(words, "")
    return target if target in TARGETS else ""


def _names(head: Row) -> list[str]:
    """Heads of the columns, each once; those without words are called by their place."""
    names: list[str] = []
    for place, cell in enumerate(head.cells, start=1):
        name = " ".join(cell.split()) or f"column {place}"
        names.append(name if name not in names else f"{name} ({place})")
    while names and names[-1].startswith("column ") and not head.cells[len(names) - 1].strip():
        names.pop()
    return names


def _cell(row: Row, at: int) -> str:
    return row.cells[at].strip() if at < len(row.cells) else ""


def scale_words(names: list[str], body: list[Row], columns: dict[str, str]) -> dict[str, list[str]]:
    """The distinct words of the columns that are scores, by probability, impact and level."""
    found: dict[str, dict[str, None]] = {"probability": {}, "impact": {}, "level": {}}
    for at, name in enumerate(names):
        kind, _, part = columns.get(name, "").partition(".")
        if kind in KINDS and part in found:
            found[part].update({_cell(row, at): None for row in body if _cell(row, at)})
    return {part: list(words)[:_MAX_WORDS] for part, words in found.items()}


def _all_of_three(words: dict[str, list[str]]) -> bool:
    every = [plain(word) for part in words.values() for word in part]
    return bool(every) and all(word in STEPS and STEPS[word][1] == 3 for word in every)


def steps_of(data: MatrixData) -> dict[str, list[str]]:
    """The steps of a matrix by the part of a score."""
    return {"probability": data.probability, "impact": data.impact, "level": data.levels}


def _step(steps: list[str], word: str) -> str:
    """The step that a word most likely means; empty if it is not known."""
    exact = next((step for step in steps if plain(step) == plain(word)), "")
    if exact or (word.isdecimal() and 1 <= int(word) <= len(steps)):
        return exact or steps[int(word) - 1]
    if plain(word) not in STEPS:
        return ""
    place, of = STEPS[plain(word)]
    return steps[round((place - 1) / (of - 1) * (len(steps) - 1))] if len(steps) != 5 or of == 5 else steps[place]


def read_foreign(kind: str, found: list[Row], mapping: Mapping) -> Paper:
    """Read a foreign table by its mapping; sheets and columns that it leaves out are listed.

    Raises:
        BadPaper: if it has none of the mapped columns, or no risk.
    """
    sheet = mapping.sheet or found[0].sheet
    of_sheet = [row for row in found if row.sheet == sheet]
    if not of_sheet:
        raise BadPaper(f"There is no sheet {sheet!r}.")
    names = _names(of_sheet[0])
    if not set(names) & set(mapping.columns):
        raise BadPaper("The table has none of the columns of this mapping.")
    builder, keys = Builder(kind), Keys()
    builder.unread += _left_out(found, sheet, names, of_sheet, mapping)
    risks = [risk for row in of_sheet[1:] if (risk := _risk(builder, keys, names, row, mapping))]
    if not risks:
        raise BadPaper("The table holds no risk.")
    return Paper(
        shape=kind, title=mapping.title, matrix=mapping.matrix, risks=tuple(risks),
        not_understood=tuple(builder.unread),
    )  # fmt: skip


def _left_out(
    found: list[Row], sheet: str, names: list[str], of_sheet: list[Row], mapping: Mapping
) -> Iterator[Unread]:
    """Other sheets, and columns that the mapping leaves out, with how many cells."""
    for other in dict.fromkeys(row.sheet for row in found if row.sheet != sheet):
        lines = [row.line for row in found if row.sheet == other]
        yield Unread(lines[0], f"{other}: {len(lines)} rows", "another sheet; one is imported at a time")
    for at, name in enumerate(names):
        count = sum(1 for row in of_sheet[1:] if _cell(row, at))
        if mapping.columns.get(name, LEFT) == LEFT and count:
            yield Unread(of_sheet[0].line, f"{name}: {count} cells", "left out by the mapping")
    for row in of_sheet[1:]:
        for cell in row.cells[len(names) :]:
            if cell.strip():
                yield Unread(row.line, cell[:500], "a cell without a column")


def _risk(builder: Builder, keys: Keys, names: list[str], row: Row, mapping: Mapping) -> PaperRisk | None:
    cells = {name: _cell(row, at) for at, name in enumerate(names)}
    values: dict[str, str] = {}
    notes: list[str] = []
    measures: list[PaperMitigation] = []
    for name, text in cells.items():
        target = mapping.columns.get(name, LEFT)
        if not text or target == LEFT:
            continue
        if target == NOTE:
            notes.append(f"{name}: {text}")
        elif target in MEASURES:
            measures += [_measure(words, MEASURES[target]) for words in _lines(text)]
        else:
            values[target] = f"{values[target]}\n{text}" if target in values else text
    if not values.get("title"):
        builder.refuse(row, " | ".join(filter(None, row.cells)), "it has no title")
        return None
    _translate(values, mapping)
    facts: dict[str, Any] = builder.texts(values, RISK, row)
    if notes:
        facts["description"] = "\n\n".join([*filter(None, [facts.get("description")]), *notes])
    names_above = [part.strip() for part in values.get("category", mapping.category).split(">") if part.strip()]
    if any(len(part) > 120 for part in names_above):
        builder.refuse(row, values["category"], "longer than 120 characters; it is cut")
    path = tuple(part[:120] for part in names_above)
    key = keys.make((), values["number"]) if values.get("number") else keys.make(path, values["title"])
    return PaperRisk(
        key=key, path=path, scores=tuple(builder.scores(values, row)), mitigations=tuple(measures), line=row.line,
        **facts,
    )  # fmt: skip


def _translate(values: dict[str, str], mapping: Mapping) -> None:
    """Put foreign steps into the matrix's words; one without a translation stays, and the plan notes it."""
    for kind in KINDS:
        for part in ("probability", "impact", "level"):
            word = values.get(f"{kind}.{part}", "")
            step = mapping.scales.get(part, {}).get(plain(word), "")
            if word and step:
                values[f"{kind}.{part}"] = step


def _lines(text: str) -> list[str]:
    """Measures of a cell: its lines, or where it has one line the parts between semicolons."""
    lines = [line.strip().lstrip("-*• ").strip() for line in text.splitlines() if line.strip()]
    if len(lines) != 1:
        return [line for line in lines if line]
    return split_measures(lines[0]) if ";" in lines[0] else lines


def _measure(words: str, status: dict[str, Any]) -> PaperMitigation:
    if len(words) > 500:
        return PaperMitigation(title=words[:499] + "…", description=words, **status)
    return PaperMitigation(title=words, **status)
