"""Phone numbers, e-mail addresses and addresses of computers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import ip_address

import phonenumbers
from phonenumbers import NumberParseException

from apps.core.sensitive.spans import Span, digits_of, many_digits, orderly

# Where national numbers without a country code are looked for, the likeliest first.
REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "AU", "IN", "BR")
_EMAIL = re.compile(
    r"(?<![\w.+%-])[\w.!#$%&'*+/=?^`{|}~-]{1,64}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}(?:[^\W\d_]{2,24}|xn--[a-z0-9-]{2,59})(?![\w-])"
)
_LOGIN = re.compile(r"://[^\s/@]*:$")
_PHONE = re.compile(
    r"(?<![\w.,/#$€£¥-])(?:\+|\(\+?|00)?\d(?:[ ./()-]{0,3}\d){6,16}(?:\s?(?:x|ext\.?)\s?\d{1,6})?(?![\w])(?![.,/-]\d)"
)
_PHONE_WORDS = re.compile(
    r"\b(?:phone|tel|telephone|telefon(?:nummer)?|tel[eé]fono|t[eé]l[eé]phone|mobile?|mobil\w*|handy\w*|cell(?:phone)?|"
    r"call|called|calling|ring|text|sms|whatsapp|fax|reach|dial|contact|signal|viber|landline|m[oó]vil|celular|portable|"
    r"messages? to|number is|my number|anrufen)\b[^\d\n\[\]]{0,30}$",
    re.IGNORECASE,
)
_GROUPED = re.compile(
    r"(?:1[ .-])?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[.-]\d{4}|\(0?\d{1,5}\) ?\d[\d -]{4,11}|0\d{2,4}[ /-]\d[\d /-]{4,10}|"
    r"0\d(?:[ .-]\d\d){4}",
    re.ASCII,
)
_DATE = re.compile(r"(?:\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./]\d{4})")
_MONEY_AFTER = re.compile(
    r"\s?(?:[%€$£¥]|(?:EUR|USD|GBP|CHF|dollars?|euros?|pounds?|kg|g|ml|cm|mm|pcs|units|stück)\b)", re.IGNORECASE
)
_V4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?:/\d{1,2})?(?![\w])(?!\.\d)", re.ASCII)
_V6 = re.compile(
    r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?::?(?:\d{1,3}\.){3}\d{1,3})?(?:%\w{1,16})?(?:/\d{1,3})?(?![\w:])(?!\.\d)",
    re.ASCII,
)
_MAC = re.compile(
    r"(?<![\w:-])[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}(?![\w:-])"
    r"|(?<![\w.])(?=[\d.]*[A-Fa-f])[0-9A-Fa-f]{4}(?:\.[0-9A-Fa-f]{4}){2}(?![\w])(?!\.\w)",
    re.ASCII,
)


def find_emails(text: str) -> Iterator[Span]:
    """E-mail addresses."""
    if "@" in text:
        for found in _EMAIL.finditer(text):
            # "https://name:password@host": what stands there is a password, see find_secrets.
            if not _LOGIN.search(text[max(0, found.start() - 100) : found.start()]):
                yield Span(*found.span(), "email")


def find_phones(text: str) -> Iterator[Span]:
    """Phone numbers: with a country code, grouped as phone numbers are, or where the words say so."""
    if not many_digits(text):
        return
    for found in _PHONE.finditer(text):
        number, start = found[0], found.start()
        if _DATE.search(number) or orderly(text, start) or _MONEY_AFTER.match(text, found.end()):
            continue
        if _is_phone(number, said=_PHONE_WORDS.search(text[max(0, start - 48) : start]) is not None):
            yield Span(start, found.end(), "phone")


def _is_phone(number: str, *, said: bool) -> bool:
    bare = number.lstrip("(")
    if bare.startswith("+"):
        return _possible(number, None)
    if bare.startswith("00") and _possible("+" + bare[2:], None):
        return True
    if _GROUPED.fullmatch(re.sub(r"\s?(?:x|ext\.?)\s?\d{1,6}$", "", number)):
        return any(_possible(number, region) for region in REGIONS)
    if said:
        return 7 <= len(digits_of(number)) <= 15
    # Groups of digits may be anything; a valid number that is written in groups and begins with 0 is a phone number.
    return bare.startswith("0") and " " in number and any(_valid(number, region) for region in REGIONS[1:])


@lru_cache(maxsize=2048)
def _possible(number: str, region: str | None) -> bool:
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(number, region))
    except NumberParseException:
        return False


@lru_cache(maxsize=2048)
def _valid(number: str, region: str) -> bool:
    try:
        return phonenumbers.is_valid_number_for_region(phonenumbers.parse(number, region), region)
    except NumberParseException:
        return False


def find_computers(text: str) -> Iterator[Span]:
    """IP and MAC addresses. Versions of programs look like the former; the words before them tell."""
    if text.count(".") >= 3:
        for found in _V4.finditer(text):
            if _is_address(found[0]) and not orderly(text, found.start()):
                yield Span(*found.span(), "ip_address")
    if text.count(":") >= 2:
        for found in _V6.finditer(text):
            if _is_address(found[0]):
                yield Span(*found.span(), "ip_address")
    if text.count(":") >= 5 or text.count("-") >= 5 or text.count(".") >= 2:
        for found in _MAC.finditer(text):
            yield Span(*found.span(), "ip_address")


def _is_address(text: str) -> bool:
    address = text.partition("/")[0]
    if address in ("::", "0.0.0.0"):  # noqa: S104 - compared, not listened on
        return False
    try:
        ip_address(address)
    except ValueError:
        return False
    return True
