"""Files that customers send, and those that members of staff send them: what is taken, how they are kept and handed out.

A file's type follows from its content, never from its name or from what the browser says. Only types that no browser runs
are taken. Pictures are read once to see that they are what they look like, and that they are no bomb. Files are kept in
private storage, which no address of the web server leads to, under a random name; they are handed out as attachments.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from types import MappingProxyType
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

from django.core.files.base import File
from django.db import transaction
from django.http import FileResponse
from PIL import Image

from apps.chat.binding import State, authorise, called
from apps.chat.models import Conversation, Event, Upload
from apps.chat.refusals import ConversationNotFound, FileRefused, NotYours, TooLarge, WrongType
from apps.chat.saying import add, locked, plain, spoken_again, still_open
from apps.core.models import User
from apps.core.redaction import redact

LARGEST = 8 * 1024 * 1024
MOST_OF_CONVERSATION = 50
MOST_PIXELS = 60_000_000
PICTURES: Mapping[str, str] = MappingProxyType(
    {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}
)
PDF, TEXT = "application/pdf", "text/plain"
ACCEPTED = (*PICTURES.values(), PDF, TEXT)
_ENDINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "image/png": (".png",), "image/jpeg": (".jpg", ".jpeg"), "image/gif": (".gif",), "image/webp": (".webp",),
        PDF: (".pdf",), TEXT: (".txt", ".csv", ".log", ".md"),
    }
)  # fmt: skip
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")
_PICTURE_SIGNS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"RIFF")


@dataclass(frozen=True, slots=True)
class Received:
    """A file that is stored, with its event. ``repeated``: it was stored before under the same id."""

    event: Event
    repeated: bool = False


def receive(
    *,
    conversation_id: int,
    file: File[Any],
    client_id: UUID,
    now: datetime,
    user: User | None = None,
    session_id: int | None = None,
) -> Received:
    """Take a file as the next event of a conversation.

    Args:
        client_id: chosen by the sender; the same again stores nothing.
        user: the member of staff who sends it; None for the customer.
        session_id: of the customer who sends it; it is asked again.

    Raises:
        SessionOver: the session ended since it was opened.
        TooLarge, FileRefused, WrongType: of the file.
        ConversationNotFound: there is none, or not for this person.
        NotAllowed, NotYours: a member of staff may not talk with customers, or does not have the conversation.
    """
    if user:
        _held_by(conversation_id, user)  # before anything is written; asked again under the lock
    if before := Event.objects.filter(conversation=conversation_id, client_id=client_id).first():
        return Received(before, repeated=True)
    size = file.size or 0
    if size > LARGEST:
        raise TooLarge
    if not size:
        raise FileRefused("The file is empty.")
    kind = type_of(file)
    upload = Upload(name=name_for(str(file.name or ""), kind), content_type=kind, size=size, by_customer=user is None)
    upload.created_at = now
    # Written before the row: a file without a row wastes room, a row without a file is a broken promise.
    upload.file.save(f"chat/{now:%Y/%m}/{uuid4().hex}", file, save=False)
    try:
        return _kept(conversation_id, upload, client_id, now, user, session_id)
    except BaseException:
        upload.file.delete(save=False)
        raise


def _held_by(conversation_id: int, user: User) -> None:
    """Refuse a member of staff who may not write to this customer now."""
    authorise(user)
    conversation = Conversation.objects.visible_to(user).filter(pk=conversation_id).first()
    if conversation is None:
        raise ConversationNotFound
    if conversation.state != State.PERSON or conversation.assignee_id != user.pk:
        raise NotYours


@transaction.atomic
def _kept(
    conversation_id: int, upload: Upload, client_id: UUID, now: datetime, user: User | None, session_id: int | None
) -> Received:
    conversation = locked(conversation_id)
    still_open(session_id)
    if user:
        _held_by(conversation_id, user)
    if before := conversation.events.filter(client_id=client_id).first():
        upload.file.delete(save=False)
        return Received(before, repeated=True)
    if conversation.uploads.count() >= MOST_OF_CONVERSATION:
        raise FileRefused("There are enough files in this conversation.")
    if user is None:
        spoken_again(conversation, now)
    upload.conversation = conversation
    upload.save()
    facts = {"id": str(upload.public_id), "name": upload.name, "content_type": upload.content_type, "size": upload.size}
    author, by = (Event.Author.AGENT, {"name": called(user)}) if user else (Event.Author.CUSTOMER, {})
    event = Event(
        kind=Event.Kind.FILE, author=author, user=user, client_id=client_id, text=upload.name,
        data={"file": facts, **by}, at=now,
    )  # fmt: skip
    if user:
        Conversation.objects.filter(pk=conversation_id, first_response_at=None).update(first_response_at=now)
    return Received(add(conversation, event))


def upload_of(conversation: Conversation, public_id: UUID) -> Upload:
    """A file of a conversation.

    Raises:
        ConversationNotFound: it has none like this, or it was removed.
    """
    found = conversation.uploads.filter(public_id=public_id, removed_at=None).exclude(file="").first()
    if found is None:
        raise ConversationNotFound("There is no such file.")
    return found


def handed_out(upload: Upload) -> FileResponse:
    """A file as an attachment that no browser shows or runs by itself.

    Raises:
        ConversationNotFound: the storage does not have it any more.
    """
    try:
        content = upload.file.open("rb")
    except FileNotFoundError:
        raise ConversationNotFound("There is no such file.") from None
    answer = FileResponse(content, content_type=upload.content_type)
    answer["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(upload.name)}"
    answer["Content-Security-Policy"] = "default-src 'none'; sandbox"
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Cache-Control"] = "private, max-age=3600"
    return answer


def type_of(file: File[Any]) -> str:
    """The type that the content has.

    Raises:
        WrongType: it has none that is taken.
    """
    file.seek(0)
    head = file.read(16)
    file.seek(0)
    if head.startswith(_PICTURE_SIGNS):
        return _picture(file)
    if head.startswith(b"%PDF-"):
        return PDF
    if _is_text(file):
        return TEXT
    raise WrongType


def _picture(file: File[Any]) -> str:
    try:
        with Image.open(file, formats=list(PICTURES)) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise WrongType("The picture is too large to be shown.")
            found = PICTURES[str(picture.format)]
            picture.verify()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise WrongType from None
    finally:
        file.seek(0)
    return found


def _is_text(file: File[Any]) -> bool:
    """Whether all of it is UTF-8 without control signs, and no page or script by its first signs."""
    decoder, first = codecs.getincrementaldecoder("utf-8")(), True
    try:
        for chunk in file.chunks():
            text = decoder.decode(chunk)
            if _CONTROL.search(text):
                return False
            if first and text.lstrip("\ufeff \t\r\n").startswith(("<", "#!", "%!")):
                return False
            first = False
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    finally:
        file.seek(0)
    return True


def name_for(given: str, kind: str) -> str:
    """A name that can be shown and saved anywhere: without folders, tricks of direction, secrets, or an ending that lies."""
    bare = PurePath(plain(given).replace("\\", "/")).name
    shown = "".join(sign for sign in unicodedata.normalize("NFC", bare) if unicodedata.category(sign)[0] != "C")
    path = PurePath(redact(shown.strip(" .")).text.replace("/", "-") or "file")
    endings = _ENDINGS[kind]
    ending = path.suffix.lower() if path.suffix.lower() in endings else endings[0]
    return f"{path.stem[:120] or 'file'}{ending}"
