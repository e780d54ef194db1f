"""Imports files of orders: streamed into temporary tables, then written set by set.

Memory stays bounded however large the files are, because lines are handed to PostgreSQL in chunks and joined there.
Everything is one transaction: a refused import leaves nothing, and one that is repeated finds everything unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from django.db import connection, transaction

from apps.orders.intake.fields import BadLine, Emitter, LaterLine, LineReader, columns_of, escaped, order_ids
from apps.orders.intake.mapping import FileSpec, Mapping
from apps.orders.intake.readers import lines_of
from apps.orders.intake.staging import Staging
from apps.orders.models import ImportRun, Store

CHUNK = 20_000
SHOWN = 1_000
"""So many problems are listed; all are counted."""

Report = Callable[[str, int], object]
"""Told what is being done, and how many more bytes of the files were read."""


class Refused(Exception):
    """The files cannot be imported, or were to be refused if a line is bad."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A line that was not taken."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.reason}"


@dataclass(slots=True)
class Outcome:
    """What became of an import.

    Attributes:
        read: lines.
        later: lines left out because they came after the time as of which was imported.
        refused: lines not taken; the first of them are in ``problems``.
        written, unchanged: rows that were new or changed, and rows that were as they are.
        orders: orders that the files told of.
    """

    read: int = 0
    later: int = 0
    refused: int = 0
    written: int = 0
    unchanged: int = 0
    orders: int = 0
    problems: list[Problem] = field(default_factory=list)

    def refuse(self, problem: Problem) -> None:
        self.refused += 1
        if len(self.problems) < SHOWN:
            self.problems.append(problem)


def paths_of(mapping: Mapping, path: Path) -> list[tuple[FileSpec, Path]]:
    """The files to read.

    Raises:
        Refused: if one that is needed is not there.
    """
    if mapping.one_file:
        if not path.is_file():
            raise Refused(f"{path} is not a file; this mapping reads one.")
        return [(mapping.files[0], path)]
    if not path.is_dir():
        raise Refused(f"{path} is not a folder; this mapping reads several files of one.")
    found = [(spec, path / spec.name) for spec in mapping.files]
    missing = [spec.name for spec, one in found if spec.needed and not one.is_file()]
    if missing:
        raise Refused(f"{path} has no {', '.join(missing)}.")
    return [(spec, one) for spec, one in found if one.is_file()]


def import_files(
    *,
    store: Store,
    name: str,
    mapping: Mapping,
    path: Path,
    now: datetime,
    as_of: datetime | None = None,
    refuse: bool = False,
    report: Report = lambda words, size: None,
) -> Outcome:
    """Import files into a store.

    Args:
        name: of the mapping, for the record.
        now: when it is learnt.
        as_of: everything later is left out, as if the files had been made then.
        refuse: refuse the whole for one bad line, instead of leaving the line out.
        report: told about the progress.

    Raises:
        Refused: nothing was written then.
    """
    files = paths_of(mapping, path)
    outcome = Outcome()
    with transaction.atomic():
        staging = Staging(store, mapping, now)
        for spec, one in files:
            report(f"Reading {one.name}", 0)
            _stage(staging, spec, one, as_of, outcome, lambda size: report("", size))
        _finish(staging, outcome, report)
        if refuse and outcome.refused:
            raise Refused(_said(outcome))
        ImportRun.objects.create(
            store=store, mapping=name[:60], source=_readable(str(path))[-500:], started_at=now, as_of=as_of, read=outcome.read,
            written=outcome.written, unchanged=outcome.unchanged, refused=outcome.refused, later=outcome.later,
            problems=[{"file": one.file, "line": one.line, "reason": one.reason} for one in outcome.problems],
            finished_at=datetime.now(now.tzinfo),
        )  # fmt: skip
    return outcome


def _readable(name: str) -> str:
    """The name of a file as it can be kept and shown; one that is not UTF-8 is allowed."""
    return name.encode(errors="replace").decode()


def _said(outcome: Outcome) -> str:
    shown = "\n".join(f"  {problem}" for problem in outcome.problems)
    return f"{outcome.refused} bad lines; nothing was imported.\n{shown}"


def _stage(
    staging: Staging,
    spec: FileSpec,
    path: Path,
    as_of: datetime | None,
    outcome: Outcome,
    progress: Callable[[int], object],
) -> None:
    try:
        alias = staging.alias_columns(spec)
        header, lines = lines_of(path, sorted(columns_of(spec) | set(alias)), progress)
        reader = LineReader(staging.mapping, spec, header, as_of)
        aliased = [header.index(column) for column in alias]
        named = [header.index(one) for one in order_ids(spec) if one in header]
    except (BadLine, ValueError) as error:
        raise Refused(f"{path.name}: {error}.") from error
    chunk = _Chunk(staging, reader.emitters, aliased, named)
    for number, values in lines:
        outcome.read += 1
        try:
            if isinstance(values, BadLine):
                raise values
            chunk.add(number, reader.cells(values), values)
        except LaterLine:
            outcome.later += 1
            chunk.add_later(values)
        except BadLine as error:
            outcome.refuse(Problem(_readable(path.name), number, str(error)))
        if chunk.size >= CHUNK:
            chunk.flush(_readable(path.name))
    chunk.flush(_readable(path.name))


class _Chunk:
    """Rows that are handed over together."""

    def __init__(
        self, staging: Staging, emitters: Sequence[Emitter], aliased: Sequence[int], named: Sequence[int]
    ) -> None:
        self._staging, self._emitters, self._aliased, self._named = staging, emitters, aliased, named
        self._texts: list[list[str]] = [[] for _ in emitters]
        self._aliases: list[str] = []
        self._later: list[str] = []
        self.size = 0

    def add(self, number: int, cells: list, values: list[str]) -> None:
        """Add a line; a bad one adds nothing, not even its good rows."""
        made = [emit(cells) for emit in self._emitters]
        for texts, text in zip(self._texts, made, strict=True):
            if text is not None:
                texts.append(f"{number}\t{text}")
        if self._aliased:
            self._aliases.append("\t".join(escaped(values[place]) for place in self._aliased))
        self.size += 1

    def add_later(self, values: list[str] | BadLine) -> None:
        """Remember an order that did not exist yet, by its id."""
        if isinstance(values, list):
            self._later += [escaped(values[place]) for place in self._named]
        self.size += 1

    def flush(self, file: str) -> None:
        for emitter, texts in zip(self._emitters, self._texts, strict=True):
            self._staging.copy(emitter, file, texts)
            texts.clear()
        self._staging.copy_aliases(self._aliases)
        self._aliases.clear()
        self._staging.copy_later(self._later)
        self._later.clear()
        self.size = 0


def _finish(staging: Staging, outcome: Outcome, report: Report) -> None:
    """Complete the rows by each other and write them, kind by kind."""
    report("Joining", 0)
    staging.complete()
    for target in staging.kinds():
        report(f"Writing {target.name.replace('_', ' ')}", 0)
        staged, written = staging.write(target)
        outcome.written += written
        for file, line, reason in staging.orphans(target, SHOWN - len(outcome.problems)):
            outcome.problems.append(Problem(file, line, reason))
        strays = staging.strays(target)
        outcome.refused += strays
        outcome.unchanged += max(0, staged - strays - written)
        if target.name == "orders":
            outcome.orders = staged
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
