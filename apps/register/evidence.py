"""Files that people hand in as evidence: which are kept, and how they are told apart.

A file's kind follows from its first bytes, never from its name or from what the browser says. Only kinds that no browser
runs are kept: documents, pictures and plain text. They are stored under a name of our own.
"""

from __future__ import annotations

import codecs
import secrets
from pathlib import PurePath
from typing import Any

from django.core.files.base import File

from apps.register.refusals import EvidenceRefused

LARGEST = 10 * 1024 * 1024
_MAGIC = {
    b"%PDF-": ".pdf",
    b"\x89PNG\r\n\x1a\n": ".png",
    b"\xff\xd8\xff": ".jpg",
}
_TEXTS = (".txt", ".csv", ".log", ".md")
KINDS = ("PDF", "PNG", "JPEG", "plain text (.txt, .csv, .log, .md)")


def checked(file: File[Any]) -> str:
    """Check a file, and return the name under which it is stored.

    Raises:
        EvidenceRefused: it is empty, larger than :data:`LARGEST` bytes, or of another kind.
    """
    if not file.size:
        raise EvidenceRefused("The file is empty.")
    if file.size > LARGEST:
        raise EvidenceRefused(f"The file is larger than {LARGEST // 1024 // 1024} MB.")
    suffix = _kind(file)
    if suffix is None:
        raise EvidenceRefused(f"Only these are kept as evidence: {', '.join(KINDS)}.")
    return f"{secrets.token_hex(16)}{suffix}"


def _kind(file: File[Any]) -> str | None:
    """The ending that fits what is in the file; None for what is not kept."""
    file.seek(0)
    head = file.read(16)
    found = next((suffix for magic, suffix in _MAGIC.items() if head.startswith(magic)), None)
    if found is None:
        named = PurePath(str(file.name)).suffix.lower()
        found = named if named in _TEXTS and _is_text(file) else None
    file.seek(0)
    return found


def _is_text(file: File[Any]) -> bool:
    """Whether all of it is UTF-8 without control characters; read in pieces, so that memory stays bounded."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    file.seek(0)
    try:
        for chunk in file.chunks():
            text = decoder.decode(chunk)
            if any(ord(sign) < 32 and sign not in "\t\n\r\f" for sign in text):
                return False
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
