"""Pictures that travel with articles: files in a folder ``pictures`` beside the articles' own, named by links in their text.

Out, an address of ours in a link becomes ``pictures/<name>``; in, that becomes the address of the article's picture, which
is added if the article has not got it. What comes in is checked and written anew like any other picture.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from apps.knowledge.images import MOST_BYTES, PREFIX, BadImage, address, mentioned, prepared
from apps.knowledge.models import Article, ArticleImage

FOLDER = "pictures"
_LINK = r"(\]\(\s*<?|\]:\s*<?)"
_OURS = re.compile(_LINK + re.escape(PREFIX) + r"([0-9]{1,18})-([0-9a-f]{16})\b")
_FILE = re.compile(_LINK + FOLDER + r"/([A-Za-z0-9][A-Za-z0-9_.-]{0,99})")


def carried_out(body: str, slug: str) -> tuple[str, dict[str, bytes]]:
    """A text whose links name files, and these files by name.

    Args:
        slug: of the article; pictures of others are not shown with it and not carried.

    Returns:
        the text as it was where a picture is not there any more.
    """
    files: dict[str, bytes] = {}
    names: dict[str, str] = {}
    for image in ArticleImage.objects.filter(pk__in=mentioned(body), article__slug=slug):
        name = f"{address(image).removeprefix(PREFIX)}{Path(str(image.file.name)).suffix}"
        try:
            with image.file.open("rb") as file:
                files[name] = file.read()
        except FileNotFoundError:
            continue
        names[address(image)] = name

    def link(match: re.Match[str]) -> str:
        name = names.get(f"{PREFIX}{match[2]}-{match[3]}")
        return f"{match[1]}{FOLDER}/{name}" if name else match[0]

    return _OURS.sub(link, body), files


def faults(body: str, folder: Path) -> Iterator[str]:
    """What is wrong with the pictures that a text names, each in words."""
    for name in dict.fromkeys(match[2] for match in _FILE.finditer(body)):
        try:
            prepared(_read(folder, name))
        except OSError:
            yield f"There is no picture {FOLDER}/{name}."
        except BadImage as error:
            yield f"{FOLDER}/{name}: {error.message}"


def brought_in(
    body: str, folder: Path, article: Article, add: Callable[[bytes], ArticleImage] | None = None
) -> tuple[str, bool]:
    """A text whose links name pictures of the article.

    Args:
        folder: where the files are.
        add: gives the article a picture that it has not got; None to leave such a link as it is.

    Returns:
        the text, and whether all of its pictures are there.

    Raises:
        OSError, BadImage: a file changed since :func:`faults` looked at it.
    """
    found: dict[str, str] = {}
    for name in dict.fromkeys(match[2] for match in _FILE.finditer(body)):
        data = _read(folder, name)
        image = _held(article, data) or (add(data) if add else None)
        if image is not None:
            found[name] = address(image)
    whole = all(match[2] in found for match in _FILE.finditer(body))
    return _FILE.sub(lambda match: f"{match[1]}{found[match[2]]}" if match[2] in found else match[0], body), whole


def _held(article: Article, data: bytes) -> ArticleImage | None:
    """The article's picture that a file is: as we gave it out, or as it was when it was taken in."""
    same: ArticleImage | None = article.images.filter(digest=hashlib.sha256(data).hexdigest()).first()
    if same is None:
        same = article.images.filter(digest=hashlib.sha256(prepared(data)[0]).hexdigest()).first()
    return same


def _read(folder: Path, name: str) -> bytes:
    with (folder / FOLDER / name).open("rb") as file:
        return file.read(MOST_BYTES + 1)
