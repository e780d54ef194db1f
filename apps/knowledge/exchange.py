"""Articles as files: Markdown with front matter, CSV or JSON, out and in again.

What comes in is read and judged whole before anything is written; one bad article stops all. It comes in as drafts, which
somebody else than the importer has to approve, like any other. Bringing the same files again changes nothing.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from django.utils.text import slugify
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from apps.core.errors import DomainError
from apps.core.exports import harmless
from apps.knowledge.carrying import faults
from apps.knowledge.drafts import LONGEST_BODY
from apps.knowledge.models import Article, ArticleVersion

MOST_BYTES = 64 * 2**20
"""Of one file."""
LONGEST_TAG = 40
_FRONT = re.compile(r"\A---[ \t]*\n(.*?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_FORMULA = re.compile(r"'[=+\-@\t\r]")
_LISTS = {"tags": ";", "reviewers": ";", "questions": "\n"}
"""Columns of CSV that hold several values, and what is between them."""


class BadArticles(DomainError):
    """Files cannot be taken in; ``fields`` has what is wrong by file, and nothing was written."""

    code = "bad_articles"
    message = "These files cannot be taken in; nothing was written."
    status = 422


class Paper(BaseModel):
    """An article as a file holds it."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    title: str = Field(min_length=1, max_length=200)
    body: str = Field(min_length=1, max_length=LONGEST_BODY)
    category: str = Field(min_length=1, max_length=60)
    slug: str = Field("", max_length=120)
    audience: Literal["public", "internal"] = "public"
    language: str = Field("en", pattern=r"^[a-z]{2}(-[A-Za-z]{2,4})?$")
    owner: str = ""
    reviewers: list[str] = []
    tags: list[str] = []
    questions: list[str] = Field([], max_length=200)
    review_every_days: int = Field(180, ge=7, le=1095)

    @field_validator("title", "body", "category", "owner", "reviewers", "questions", "tags")
    @classmethod
    def storable(cls, value: Any) -> Any:
        """The database keeps no null bytes, and no halves of characters."""
        for text in value if isinstance(value, list) else [value]:
            if "\x00" in text or any("\ud800" <= sign <= "\udfff" for sign in text):
                raise ValueError("It holds a character that cannot be kept.")
        return value

    @field_validator("questions", "tags")
    @classmethod
    def short(cls, value: list[str]) -> list[str]:
        """The same lengths as in the forms."""
        if long := [text for text in value if len(text) > 300]:
            raise ValueError(f"At most 300 characters each; one has {len(long[0])}.")
        return list(dict.fromkeys(" ".join(text.split()) for text in value if text.strip()))

    @field_validator("tags")
    @classmethod
    def small(cls, value: list[str]) -> list[str]:
        """A tag is a word or two."""
        if long := [tag for tag in value if len(tag) > LONGEST_TAG]:
            raise ValueError(f"At most {LONGEST_TAG} characters each; one has {len(long[0])}.")
        return value

    @field_validator("slug", "category")
    @classmethod
    def plain(cls, value: str) -> str:
        """Small letters, digits and hyphens."""
        if value and slugify(value) != value:
            raise ValueError("Small letters, digits and hyphens.")
        return value


@dataclass(frozen=True, slots=True)
class Read:
    """A paper, and where it was read: a file, with the line or the place in it, and the folder in which that is."""

    place: str
    paper: Paper
    folder: Path


@dataclass
class Problems:
    """What is wrong, by file and place."""

    found: dict[str, list[str]] = field(default_factory=dict)

    def add(self, place: str, words: str) -> None:
        self.found.setdefault(place, []).append(words)

    def stop(self) -> None:
        """Raises: BadArticles, if there is any."""
        if self.found:
            first = next(iter(self.found.items()))
            raise BadArticles(f"{BadArticles.message} {first[0]}: {first[1][0]}", fields=self.found)


# ----- reading


def read_papers(path: Path) -> list[Read]:
    """The articles of a folder of Markdown files, or of one file (.md, .csv or .json).

    Raises:
        BadArticles: something cannot be read, or an article stands there twice.
    """
    problems, found = Problems(), list[Read]()
    for file in _files(path, problems):
        try:
            data = file.read_bytes()
            if len(data) > MOST_BYTES:
                raise ValueError(f"More than {MOST_BYTES // 2**20} MB.")
            raw = list(_READERS[file.suffix.lower()](data.decode("utf-8-sig").replace("\r\n", "\n"), file))
        except (OSError, ValueError, yaml.YAMLError, csv.Error, RecursionError) as error:
            problems.add(file.name, _plain(error))
            continue
        for place, facts in raw:
            try:
                found.append(Read(place, Paper.model_validate(facts), file.parent))
                for words in faults(found[-1].paper.body, file.parent):
                    problems.add(place, words)
            except ValidationError as error:
                for one in error.errors():
                    name = ".".join(map(str, one["loc"])) or "article"
                    problems.add(place, f"{name}: {one['msg'].removeprefix('Value error, ')}")
    _twice(found, problems)
    problems.stop()
    return found


def _files(path: Path, problems: Problems) -> list[Path]:
    if path.is_dir():
        found = sorted(one for one in path.rglob("*.md") if one.is_file())
        if not found:
            problems.add(str(path), "There is no .md file in this folder.")
        return found
    if path.suffix.lower() not in _READERS:
        problems.add(path.name, "Only a folder, .md, .csv or .json is read.")
        return []
    return [path]


def _plain(error: Exception) -> str:
    """An error of a reader in one line."""
    if isinstance(error, UnicodeDecodeError):
        return "It is not UTF-8."
    if isinstance(error, yaml.YAMLError):
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 2}" if mark else ""
        return f"The front matter is not YAML: {getattr(error, 'problem', None) or 'it cannot be read'}{where}."
    if isinstance(error, RecursionError):
        return "It is nested too deeply."
    return " ".join(str(error).split())[:300] or type(error).__name__


def _markdown(text: str, file: Path) -> Iterator[tuple[str, Any]]:
    match = _FRONT.match(text)
    if match is None:
        raise ValueError("It does not begin with front matter between two lines of ---.")
    facts = yaml.safe_load(match[1])
    if not isinstance(facts, dict):
        raise ValueError("The front matter holds no fields.")
    if "body" in facts:
        raise ValueError("The text stands below the front matter, not in it.")
    facts = {str(name): value for name, value in facts.items()}
    yield file.name, facts | {"body": text[match.end() :], "slug": facts.get("slug", slugify(file.stem))}


def _json(text: str, file: Path) -> Iterator[tuple[str, Any]]:
    data = json.loads(text)
    rows = data.get("articles") if isinstance(data, dict) else data
    if not isinstance(rows, list):
        raise ValueError('It holds neither a list nor {"articles": […]}.')
    for number, row in enumerate(rows, 1):
        yield f"{file.name}, article {number}", row


def _csv(text: str, file: Path) -> Iterator[tuple[str, Any]]:
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    for row in rows:
        place = f"{file.name}, line {rows.line_num}"
        if None in row:
            raise ValueError(f"Line {rows.line_num} has more cells than the head.")
        cells = {name: _cell(value) for name, value in row.items() if value}
        facts: dict[str, Any] = {
            name: [part.strip() for part in value.split(_LISTS[name])] if name in _LISTS else value
            for name, value in cells.items()
        }
        yield place, facts


def _cell(value: str) -> str:
    """A cell as it was before it was made harmless for spreadsheets."""
    return value[1:] if _FORMULA.match(value) else value


_READERS = {".md": _markdown, ".json": _json, ".csv": _csv}


def same_words(title: str) -> str:
    """A title without what does not tell it apart: case, spaces, marks at its end."""
    return " ".join(title.casefold().split()).rstrip(" ?!.")


def _twice(found: Sequence[Read], problems: Problems) -> None:
    """Articles that stand in the files twice: by address, by title, or by text."""
    ways = (
        ("address", lambda one: one.slug),
        ("title", lambda one: (one.language, same_words(one.title))),
        ("text", lambda one: one.body),
    )
    for words, key in ways:
        seen: dict[Any, str] = {}
        for one in found:
            if not (value := key(one.paper)):
                continue
            if value in seen:
                problems.add(one.place, f"The same {words} as in {seen[value]}.")
            seen.setdefault(value, one.place)


# ----- writing files


def papers(articles: Iterable[Article], *, drafts: bool = False) -> Iterator[Paper]:
    """Articles as papers, with the words that readers see.

    Args:
        drafts: also those of which nothing is live, with the words of the newest version.
    """
    for article in articles:
        versions: Any = article.versions
        version: ArticleVersion | None = versions.published().first() or (versions.first() if drafts else None)
        if version is None:
            continue
        yield Paper.model_construct(
            title=version.title, body=version.body, category=article.category.slug, slug=article.slug,
            audience="internal" if article.audience == "internal" else "public", language=article.language, owner=article.owner.username,
            reviewers=sorted(one.username for one in article.reviewers.all()), tags=list(article.tags),
            questions=[one.text for one in article.questions.all()], review_every_days=article.review_every_days,
        )  # fmt: skip


def as_markdown(paper: Paper) -> str:
    """A Markdown file with front matter."""
    facts = {name: value for name, value in paper.model_dump(exclude={"body"}).items() if value not in ("", [])}
    front = yaml.safe_dump(facts, allow_unicode=True, sort_keys=False, width=120)
    return f"---\n{front}---\n\n{paper.body}\n"


def as_json(found: Iterable[Paper]) -> str:
    """A JSON file."""
    return json.dumps({"articles": [one.model_dump() for one in found]}, ensure_ascii=False, indent=1) + "\n"


def as_csv(found: Iterable[Paper]) -> str:
    """A CSV file; no cell is taken for a formula."""
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(Paper.model_fields), lineterminator="\n")
    writer.writeheader()
    for paper in found:
        row = paper.model_dump() | {name: mark.join(getattr(paper, name)) for name, mark in _LISTS.items()}
        writer.writerow({name: harmless(value) for name, value in row.items()})
    return out.getvalue()
