"""``manage.py export_articles``: articles as files."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.template.defaultfilters import pluralize

from apps.knowledge.carrying import FOLDER, carried_out
from apps.knowledge.exchange import Paper, as_csv, as_json, as_markdown, papers
from apps.knowledge.models import Article


class Command(BaseCommand):
    help = (
        "Write articles to a folder as Markdown files with front matter, or to one .csv or .json file: what is live, in the form "
        "that import_articles reads. Pictures that the texts show are written to a folder pictures beside them."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", type=Path)
        parser.add_argument("--category", help="Only those of a category, by its slug.")
        parser.add_argument("--drafts", action="store_true", help="Also articles of which nothing is live yet.")

    def handle(self, *, path: Path, category: str | None, drafts: bool, **_: Any) -> None:
        articles = Article.objects.kept().select_related("category", "owner").prefetch_related("reviewers", "questions")
        if category:
            articles = articles.filter(category__slug=category)
        found = list(papers(articles.order_by("slug"), drafts=drafts))
        try:
            pictures = _write(path, found)
        except OSError as error:
            raise CommandError(f"cannot_write: {path}: {error.strerror}") from None
        self.stdout.write(
            f"{len(found)} article{pluralize(len(found))} and {pictures} picture{pluralize(pictures)} written to {path}."
        )


def _write(path: Path, found: list[Paper]) -> int:
    """Write articles, and their pictures first, so that no text names one that is not there yet; returns how many pictures."""
    table = path.suffix in (".csv", ".json")
    folder = path.parent if table else path
    if not table:
        folder.mkdir(parents=True, exist_ok=True)
    pictures = 0
    for paper in found:
        paper.body, files = carried_out(paper.body, paper.slug)
        for name, data in files.items():
            (folder / FOLDER).mkdir(exist_ok=True)
            _put(folder / FOLDER / name, data)
        pictures += len(files)
        if not table:
            _put(path / f"{paper.slug}.md", as_markdown(paper).encode())
    if table:
        _put(path, (as_csv(found) if path.suffix == ".csv" else as_json(found)).encode())
    return pictures


def _put(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_bytes(data)
    os.replace(beside, path)
