"""Pages that carry the chat: one of its own for each site, and a shop to try it in."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

from csp.decorators import csp_update
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import patch_cache_control
from django.utils.translation import get_language_from_request
from django.views.decorators.http import require_safe

from apps.chat import identity
from apps.chat.models import ChatSite

SIGNED_FOR = timedelta(hours=1)
CUSTOMERS = {
    "anna": {"id": "demo-anna", "name": "Anna Berg", "email": "anna.berg@example.com"},
    "tom": {"id": "demo-tom", "name": "Tom Keller", "email": "tom.keller@example.com"},
}
"""Whom the shop's visitor may be signed in as."""
GOODS = (
    ("Ridge 40 backpack", "Carries a week, weighs 1.1 kg", "€ 149", "pack"),
    ("Lumen head torch", "400 lumens, charges by USB-C", "€ 39", "torch"),
    ("Fjell rain jacket", "Three layers, taped seams", "€ 219", "jacket"),
    ("Ember stove", "Boils a litre in three minutes", "€ 64", "stove"),
)

# Browsers differ in whether 'self' covers sockets, so they are named.
SOCKETS = urlsplit(settings.SITE_URL)._replace(scheme="wss" if settings.USE_HTTPS else "ws", path="").geturl()


@require_safe
@csp_update({"connect-src": [SOCKETS]})  # type: ignore[arg-type]  # its type forgets that views take more than a request
def chat_page(request: HttpRequest, key: str) -> HttpResponse:
    """The chat of a site as a page of its own, to link to where no script can stand."""
    return _page(request, key)


def _page(request: HttpRequest, key: str) -> HttpResponse:
    site = ChatSite.objects.filter(key=key, is_active=True).first()
    if site is None:
        raise Http404
    asked = "Accept-Language" in request.headers
    language = get_language_from_request(request) if asked else site.language
    return _fresh(render(request, "chat/page.html", {"site": site, "language": language}))


@require_safe
@csp_update({"connect-src": [SOCKETS]})
def demo(request: HttpRequest) -> HttpResponse:
    """A small shop with the widget. ``?site=`` and ``?as=`` choose site and customer.

    There is none in production, where a site may have this key like any other.
    """
    if settings.PRODUCTION:
        return _page(request, "demo")
    sites = ChatSite.objects.filter(is_active=True).order_by("pk")
    site = sites.filter(key=request.GET.get("site", "")).first() or sites.first()
    who = CUSTOMERS.get(request.GET.get("as", ""))
    signed = _signed(site, who) if site and who else ""
    shop = site.name if site else "Northlight"
    facts = {"site": site, "shop": shop, "goods": GOODS, "who": who, "signed": signed}
    return _fresh(render(request, "chat/demo.html", facts))


def _signed(site: ChatSite, who: dict[str, str]) -> str:
    """What the shop's server would say about its customer; nothing where the site takes no identities."""
    if not site.identity_secret:
        return ""
    return identity.sign(site.identity_secret, who | {"exp": int((timezone.now() + SIGNED_FOR).timestamp())})


def _fresh(response: HttpResponse) -> HttpResponse:
    patch_cache_control(response, private=True, no_store=True)
    return response
