"""Which lines of a document were read, so that every other one can be shown to a person."""

from __future__ import annotations

from apps.register.papers.shapes import Unread

SHOWN = 500


class Lines:
    """The lines of a document. Numbers inside are from 0; what is told to people counts from 1."""

    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")
        self._read: set[int] = set()
        self._why: dict[int, str] = {}

    def take(self, first: int, end: int) -> None:
        """Note that the lines from ``first`` up to before ``end`` were read."""
        self._read.update(range(first, end))

    def refuse(self, first: int, end: int, why: str = "") -> None:
        """Note that lines were looked at and could not be read; ``why`` stands at the first."""
        self._read.difference_update(range(first, end))
        self.doubt(first, why)

    def doubt(self, line: int, why: str) -> None:
        """Show a line although something of it was read."""
        self._why[line] = "; ".join(dict.fromkeys(filter(None, [*self._why.get(line, "").split("; "), why])))

    def left(self) -> tuple[Unread, ...]:
        """Every line with words on it that was not read."""
        return tuple(
            Unread(number + 1, line.strip()[:SHOWN], self._why.get(number, ""))
            for number, line in enumerate(self.lines)
            if line.strip() and (number not in self._read or number in self._why)
        )
