"""Pictures in articles: kept privately under random names, and shown to those who may read the article.

What is uploaded is never passed on as it came: it is read by its content, turned upright, made smaller if it is large, and
written anew, which leaves out whatever was hidden in it, such as where a photograph was taken.
"""

from __future__ import annotations

import hashlib
import io
import re
from datetime import datetime
from uuid import uuid4

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef
from PIL import Image, ImageOps

from apps.core.models import User
from apps.knowledge import rights
from apps.knowledge.models import Article, ArticleImage, ArticleVersion
from apps.knowledge.refusals import InvalidArticle, WrongState

MOST_BYTES = 8 * 2**20
"""Of an uploaded file."""
MOST_PIXELS = 25_000_000
"""Of an uploaded picture that is not a JPEG; a small file can hold very many, and each takes up to four bytes of memory."""
LONGEST_UPLOAD = 20_000
"""Pixels of a side of an uploaded picture."""
LONGEST_SIDE = 2_000
"""Pixels of a side as it is kept."""
MOST_IMAGES = 100
"""Of one article."""
PREFIX = "/help/images/"
_KINDS = {"PNG": ("PNG", "image/png", "png"), "GIF": ("PNG", "image/png", "png"), "JPEG": ("JPEG", "image/jpeg", "jpg"),
          "WEBP": ("WEBP", "image/webp", "webp")}  # fmt: skip
"""What is read, and as what it is kept: format, type, and the end of the name."""
SHOWN = re.escape(PREFIX) + "[0-9]{1,18}-[0-9a-f]{16}"
"""Addresses of pictures, as a regular expression."""
_ADDRESS = re.compile(re.escape(PREFIX) + r"([0-9]{1,18})-([0-9a-f]{16})\b")


class BadImage(InvalidArticle):
    """The file is no picture that can be shown, or too large."""

    code = "bad_image"
    message = "This file cannot be used as a picture."


def address(image: ArticleImage) -> str:
    """Where a picture is shown; a picture never changes, so its address holds for good."""
    return f"{PREFIX}{image.pk}-{image.digest[:16]}"


def mentioned(body: str) -> set[int]:
    """Ids of the pictures that a text shows."""
    return {int(pk) for pk, _ in _ADDRESS.findall(body)}


def prepared(data: bytes) -> tuple[bytes, str, str]:
    """A picture written anew.

    Returns:
        its bytes, its content type, and the end of its file's name.

    Raises:
        BadImage: it is none, too large, or of a kind that is not shown.
    """
    if len(data) > MOST_BYTES:
        raise BadImage(f"The file has {len(data) / 2**20:.1f} MB; at most {MOST_BYTES // 2**20} MB are taken.")
    try:
        with Image.open(io.BytesIO(data), formats=list(_KINDS)) as found:
            kind, content_type, end = _KINDS[str(found.format)]
            size = found.size
            found.draft(
                "RGB", (LONGEST_SIDE, LONGEST_SIDE)
            )  # large photographs are read at a half, a quarter or an eighth
            if found.width * found.height > MOST_PIXELS or max(size) > LONGEST_UPLOAD:
                raise BadImage(f"The picture has {size[0]} by {size[1]} pixels, which is too large.")
            ImageOps.exif_transpose(found, in_place=True)
            found.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            clean = found.convert("RGB" if kind == "JPEG" or not _see_through(found) else "RGBA")
    except (
        OSError,
        ValueError,
        SyntaxError,
        Image.DecompressionBombError,
    ) as error:  # what Pillow raises for bad files
        raise BadImage("The file is no PNG, JPEG, GIF or WebP picture, or it is broken.") from error
    out = io.BytesIO()
    clean.info.clear()  # neither comments nor places
    clean.save(out, kind, **({"optimize": True} if kind == "PNG" else {"quality": 85}))
    return out.getvalue(), content_type, end


def _see_through(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info


def add_image(*, article_id: int, data: bytes, actor: User, now: datetime) -> ArticleImage:
    """Keep a picture of an article. The same one again is the one that is there.

    Raises:
        ArticleNotFound, NotAllowed, BadImage, WrongState: the article has too many.
    """
    article = Article.objects.visible_to(actor).filter(pk=article_id).first()
    if (
        article is not None
    ):  # reading a large picture takes a while, so those who may not add one do not make us read it
        rights.require(rights.may_edit(actor, article))
    clean, content_type, end = prepared(data)
    digest = hashlib.sha256(clean).hexdigest()
    written = ""
    try:
        with transaction.atomic():
            article = rights.locked_article(article_id, actor)
            rights.require(rights.may_edit(actor, article) and actor.has_perm("knowledge.add_articleimage"))
            if same := article.images.filter(digest=digest).first():
                return same
            if article.images.count() >= MOST_IMAGES:
                raise WrongState(f"The article has {MOST_IMAGES} pictures already.")
            image = ArticleImage(
                article=article, content_type=content_type, digest=digest, uploaded_by=actor, uploaded_at=now
            )
            name = image.file.field.generate_filename(image, f"{uuid4().hex}.{end}")
            written = default_storage.save(name, ContentFile(clean))
            image.file = written  # which reads its width and height
            image.save()
            return image
    except (IntegrityError, OSError):
        if written:
            default_storage.delete(written)  # no row knows it
        raise


def readable_image(pk: int, user: User | None) -> tuple[ArticleImage, bool] | None:
    """A picture, if this person may see it, and whether everybody may.

    Everybody sees the pictures that the published version of a public article of no scope shows; staff those of the articles that they
    see. A picture of a draft beside a published version is not public before the draft is.
    """
    shown = ArticleVersion.objects.published().filter(article=OuterRef("article"), body__contains=f"{PREFIX}{pk}-")
    image = ArticleImage.objects.annotate(shown=Exists(shown)).select_related("article").filter(pk=pk).first()
    if image is None:
        return None
    article = image.article
    public = article.audience == Article.Audience.PUBLIC and article.scope_id is None and article.archived_at is None
    if public and image.shown:
        return image, True
    may = user is not None and user.is_staff and rights.may_view(user, article)
    return (image, False) if may else None
