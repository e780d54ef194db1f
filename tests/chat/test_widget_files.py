"""What a page loads: small, complete in each language, and content with the strictest policy of a host page."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
from django.conf import settings

FILES = Path(settings.BASE_DIR) / "static" / "chat"
WORDS = sorted((FILES / "words").glob("*.json"))
OF_OUR_PAGES = ("demo", "desk", "page")
LARGEST = 30_000
"""Bytes, gzipped, of everything that a visitor's browser loads."""


def parts() -> list[Path]:
    return [
        path for path in FILES.iterdir() if path.suffix in (".js", ".css") and not path.name.startswith(OF_OUR_PAGES)
    ]


def gzipped(path: Path) -> int:
    return len(gzip.compress(path.read_bytes(), 9))


@pytest.mark.parametrize("words", WORDS, ids=lambda path: path.stem)
def test_stays_small_in_each_language(words: Path) -> None:
    assert sum(map(gzipped, [*parts(), words])) < LARGEST


@pytest.mark.parametrize("words", WORDS, ids=lambda path: path.stem)
def test_each_language_says_everything_with_the_same_gaps(words: Path) -> None:
    own, english = (json.loads(path.read_text()) for path in (words, FILES / "words" / "en.json"))

    assert own.keys() == english.keys()
    assert all(own.values())
    gaps = {key: set(re.findall(r"\{(\w+)\}", text)) for key, text in english.items()}
    assert {key: set(re.findall(r"\{(\w+)\}", text)) for key, text in own.items()} == gaps


def test_the_languages_that_are_offered_are_those_that_have_words() -> None:
    listed = re.search(r"const LANGUAGES = (\[.*?\]);", (FILES / "words.js").read_text())

    assert listed
    assert set(json.loads(listed[1])) == {path.stem for path in WORDS}


def test_every_word_that_is_said_exists() -> None:
    said = {key for path in parts() for key in re.findall(r'say\("([a-z_]+)"', path.read_text())}
    known = {key.removesuffix(".one").removesuffix(".other") for key in json.loads(WORDS[0].read_text())}

    assert said
    assert said <= known


@pytest.mark.parametrize("path", parts(), ids=lambda path: path.name)
def test_writes_no_markup_style_or_code_as_text(path: Path) -> None:
    """Pages with Trusted Types, and without 'unsafe-inline' and 'unsafe-eval', refuse these."""
    text = path.read_text()

    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|style=|\.cookie", text
    )
    assert path.suffix != ".css" or not re.search(r"@import|url\(", text)
