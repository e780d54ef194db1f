"""Payment cards, IBANs and bank accounts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stdnum import iban, luhn
from stdnum.us import rtn

from apps.core.sensitive.spans import Span, digits_of, many_digits

_RUN = re.compile(r"(?<![\w])(?<!\d[.,])\d(?:[ .-]{0,2}\d){12,80}(?![\w])", re.ASCII)
_GROUP = re.compile(r"\d+")
# Ranges of issuers and lengths, ISO/IEC 7812-1. Visa's 13 digits are left out: such cards are gone, and shops number
# orders with 13 digits.
_ISSUERS = re.compile(
    r"4\d{15}(?:\d{3})?|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|3[47]\d{13}|"
    r"3(?:0[0-5]|[689]\d)\d{11}|(?:6011|64[4-9]\d|65\d\d)\d{12}|62\d{14,17}|35(?:2[89]|[3-8]\d)\d{12}|"
    r"(?:50|5[6-8]|63|67)\d{14}|2131\d{11}|1800\d{11}"
)
# A number that is said to be a card's needs no issuer that we know.
_SAID = re.compile(
    r"(?<![\w\[])(?:(?:credit|debit|bank)? ?card|cc|visa|master ?card|amex|maestro|kreditkarte|tarjeta|carte)\b[^\w\n\[\]]{0,4}"
    r"(?:(?:number|num|no|nr|nummer|is|ist|es|est)\b[^\w\n\[\]]{0,3}){0,3}(?P<value>\d(?:[ -]?\d){11,18})(?!\w)",
    re.IGNORECASE,
)
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?=[ -]?[A-Za-z0-9]{2})")
_ALNUM = re.compile(r"[ -]?[A-Za-z0-9]")
_LONGEST, _SHORTEST = 34, 15
_LONGEST_CARD = 19
_ACCOUNT = re.compile(
    r"(?<![\w\[])(?:(?:bank|giro|checking|savings|current) ?(?:account|acct|a/c)|a/c|acct|account (?:number|no|nr|num)|"
    r"konto(?:nummer|nr)?|n[uú]mero de cuenta|cuenta bancaria|compte bancaire|conto corrente|bsb|clabe)\b"
    r"[^\w\n\[\]]{0,3}(?:(?:number|no|nr|num|is|ist|es|est)\b[^\w\n\[\]]{0,3}){0,3}(?P<value>\d(?:[ -]?\d){5,17})(?![\d.,]*\d)",
    re.IGNORECASE,
)
_SORT_CODE = re.compile(
    r"(?<![\w\[])(?:sort ?code|bsb|blz|bankleitzahl)\b[^\w\n\[\]]{0,3}(?:(?:number|no|is|ist)\b[^\w\n\[\]]{0,3}){0,2}"
    r"(?P<value>\d\d[ -]?\d\d?[ -]?\d(?:[ -]?\d){1,3})\b",
    re.IGNORECASE,
)
_ROUTING = re.compile(
    r"(?<![\w\[])(?:routing|aba|rtn|transit)\b[^\d\n\[\]]{0,20}(?P<value>\d{4}-?\d{4}-?\d)(?!\d)", re.IGNORECASE
)


def find_cards(text: str) -> Iterator[Span]:
    """Payment cards: an issuer's range and length, and Luhn's check digit."""
    for run in _RUN.finditer(text):
        yield from _cards_in(text, run.start(), run.end())
    for found in _SAID.finditer(text):
        if luhn.is_valid(digits_of(found["value"])):
            yield Span(*found.span("value"), "card")


def _cards_in(text: str, start: int, end: int) -> Iterator[Span]:
    """Cards in a run of groups of digits: an order number may stand before them, an expiry or a code after them."""
    groups = [found.span() for found in _GROUP.finditer(text, start, end)]
    place = 0
    while place < len(groups):
        digits, step = "", 1
        for last in range(place, len(groups)):
            digits += text[slice(*groups[last])]
            if len(digits) > _LONGEST_CARD:
                break
            if _ISSUERS.fullmatch(digits) and luhn.is_valid(digits):
                yield Span(groups[place][0], groups[last][1], "card")
                step = last - place + 1
                break
        place += step


def find_accounts(text: str) -> Iterator[Span]:
    """IBANs by their check digits, other accounts by the words before them."""
    if not many_digits(text):
        return
    for found in _IBAN.finditer(text):
        end = _iban_end(text, found.start())
        if end:
            yield Span(found.start(), end, "bank_account")
    for pattern in (_ACCOUNT, _SORT_CODE):
        for found in pattern.finditer(text):
            yield Span(*found.span("value"), "bank_account")
    for found in _ROUTING.finditer(text):
        if rtn.is_valid(found["value"]):
            yield Span(*found.span("value"), "bank_account")


def _rest(compact: str) -> int:
    """ISO 7064, MOD 97-10. Asked first, because it is cheaper than the country's format."""
    return int("".join(str(int(char, 36)) for char in compact[4:] + compact[:4])) % 97


def _iban_end(text: str, start: int) -> int:
    """Where the IBAN that begins here ends; 0 if there is none. Words after it may look like more of it, so each
    length is tried, the longest first."""
    ends = []
    place, compact = start, ""
    while len(compact) < _LONGEST and (step := _ALNUM.match(text, place)):
        compact += step[0][-1]
        place = step.end()
        ends.append(place)
    for length in range(len(compact), _SHORTEST - 1, -1):
        end = ends[length - 1]
        if end < len(text) and text[end].isalnum():
            continue
        # The country's own check digits are not asked: a mistyped account is personal too.
        if _rest(compact[:length]) == 1 and iban.is_valid(compact[:length], check_country=False):
            return end
    return 0
