"""The address of an article's picture."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotModified
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_safe

from apps.core.models import User
from apps.knowledge.images import readable_image

MINUTES = 10
"""For so long others may keep a public picture; after that they ask again, for the article may have been taken down."""


@require_safe
def show_image(request: HttpRequest, pk: int, digest: str) -> HttpResponseBase:
    """A picture, for those who may read its article; for all others there is none."""
    user = request.user if isinstance(request.user, User) else None
    found = readable_image(pk, user) if pk < 2**63 else None
    if found is None or found[0].digest[:16] != digest:
        raise Http404
    image, public = found
    tag = f'"{image.digest}"'
    if request.headers.get("If-None-Match") == tag:
        answer: HttpResponseBase = HttpResponseNotModified()
    else:
        try:
            with image.file.open("rb") as file:
                answer = HttpResponse(file.read(), content_type=image.content_type)
        except FileNotFoundError:
            raise Http404 from None
        answer["Content-Disposition"] = "inline"
        answer["X-Content-Type-Options"] = "nosniff"
    answer["ETag"] = tag
    answer["Cache-Control"] = f"public, max-age={MINUTES * 60}" if public else "private, no-cache"
    return answer
