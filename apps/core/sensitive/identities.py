"""National ids, passports and driving licences, by form, check digit and the words before them (python-stdnum)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial

from stdnum import luhn, verhoeff
from stdnum.au import tfn
from stdnum.be import nn
from stdnum.br import cpf
from stdnum.ca import sin
from stdnum.ch import ssn as ahv
from stdnum.cn import ric
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.it import codicefiscale
from stdnum.mx import curp
from stdnum.nl import bsn
from stdnum.no import fodselsnummer
from stdnum.pl import pesel
from stdnum.se import personnummer
from stdnum.us import itin, ssn

from apps.core.sensitive.spans import Span, digits_of, many_digits, orderly

Check = Callable[[str], bool]
_compiled = partial(re.compile, flags=re.IGNORECASE)


def _nino(text: str) -> bool:
    """UK National Insurance number, by the form of HMRC's manual NIM39110."""
    compact = re.sub(r"\W", "", text).upper()
    form = re.fullmatch(r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]", compact)
    return form is not None and compact[2:8] != "000000"


def _aadhaar(text: str) -> bool:
    compact = digits_of(text)
    return len(compact) == 12 and compact[0] not in "01" and verhoeff.is_valid(compact)


def _hetu(text: str) -> bool:
    """Finnish personal code; the signs of centuries that came in 2023 stand for those that the library knows."""
    compact = text.upper()
    sign = "-" if compact[6] in "UVWXY" else "A" if compact[6] in "BCDEF" else compact[6]
    return hetu.is_valid(compact[:6] + sign + compact[7:], allow_temporary=True)


def _us(text: str) -> bool:
    compact = digits_of(text)
    return ssn.is_valid(compact) or itin.is_valid(compact)


# Forms so telling that no word is needed, each with its check.
_TELLING: tuple[tuple[re.Pattern[str], Check], ...] = (
    (_compiled(r"(?<![\w-])\d{3}([-. ])\d{2}\1\d{4}(?![\w-])"), _us),
    (_compiled(r"(?<!\w)[A-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-D](?!\w)"), _nino),
    (_compiled(r"(?<!\w)[12] ?\d{2} ?\d{2} ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}(?!\w)"), nir.is_valid),
    (_compiled(r"(?<!\w)[A-Z]{6}\d{2}[A-Z]\d{2}[A-Z]\d{3}[A-Z](?!\w)"), codicefiscale.is_valid),
    (_compiled(r"(?<!\w)\d{8}-?[A-Z](?!\w)"), dni.is_valid),
    (_compiled(r"(?<!\w)[XYZ]-?\d{7}-?[A-Z](?!\w)"), nie.is_valid),
    (_compiled(r"(?<!\w)\d{3}\.\d{3}\.\d{3}-\d{2}(?!\w)"), cpf.is_valid),
    (_compiled(r"(?<!\w)756\.\d{4}\.\d{4}\.\d{2}(?!\w)"), ahv.is_valid),
    (_compiled(r"(?<!\w)[A-Z]{4}\d{6}[HM][A-Z]{5}[A-Z0-9]\d(?!\w)"), curp.is_valid),
    (_compiled(r"(?<!\w)\d{17}[\dX](?!\w)"), ric.is_valid),
    (_compiled(r"(?<!\w)\d{6}[-+A-FU-Y]\d{3}[0-9A-Y](?!\w)"), _hetu),
    (_compiled(r"(?<!\w)(?:19|20)?\d{6}[-+]\d{4}(?!\w)"), personnummer.is_valid),
    (_compiled(r"(?<!\w)\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}(?!\w)"), nn.is_valid),
    (_compiled(r"(?<!\w)[2-9]\d{3} \d{4} \d{4}(?! ?\w)"), _aadhaar),
)
_WORDS = (
    r"ssn|itin|social (?:security|insurance)|national (?:id|identity|identification|insurance)|ni number|nino|nhs|"
    r"tax (?:id|file|number|payer id)|taxpayer id|tin|tfn|sin|identity (?:card|number)|id card|id number|personal id|"
    r"steuer(?:id|nummer|-id|[- ]?identifikationsnummer)|idnr|personalausweis\w*|sozialversicherungsnummer|"
    r"dni|nie|nif|curp|cpf|bsn|burgerservicenummer|pesel|personnummer|f[oø]dselsnummer|cpr|hetu|codice fiscale|"
    r"num[eé]ro de s[eé]curit[eé] sociale|aadha+r|medicare|rijksregisternummer"
)
_AFTER_WORD = re.compile(
    rf"(?<![\w\[])(?:{_WORDS})\b[^\d\n\[\]]{{0,24}}?(?P<value>[A-Z]{{0,2}}\d(?:[ ./-]?[\dA-Z](?![a-z])){{7,17}})(?!\w)",
    re.IGNORECASE,
)
_DOCUMENT = re.compile(
    r"(?<![\w\[])(?:passport|reisepass\w*|pasaporte|passeport|driv(?:er'?s?|ing) licen[cs]e|dl|f[uü]hrerschein\w*)\b"
    r"[^\w\n\[\]]{0,3}(?:(?:number|nr|num|no|id|is|ist|es|est)\b[^\w\n\[\]]{0,3}){0,3}(?P<value>(?=[A-Z]*\d)[A-Z0-9]{6,16})(?!\w)",
    re.IGNORECASE,
)
# Where a word says that it is an id, these lengths and checks are enough; ids that have no check pass by the form.
_CHECKED: tuple[Check, ...] = (
    _us, _nino, nhs.is_valid, idnr.is_valid, dni.is_valid, nie.is_valid, nir.is_valid, sin.is_valid, tfn.is_valid,
    bsn.is_valid, pesel.is_valid, personnummer.is_valid, fodselsnummer.is_valid, nn.is_valid, cpf.is_valid,
    codicefiscale.is_valid, hetu.is_valid, _aadhaar, ric.is_valid, curp.is_valid, luhn.is_valid,
)  # fmt: skip


def find_identities(text: str) -> Iterator[Span]:
    """Ids of people."""
    if not many_digits(text):
        return
    for pattern, check in _TELLING:
        for found in pattern.finditer(text):
            if check(found[0]) and not orderly(text, found.start()):
                yield Span(*found.span(), "national_id")
    for found in _AFTER_WORD.finditer(text):
        value = found["value"]
        if _plausible(value) and not orderly(text, found.start("value")):
            yield Span(*found.span("value"), "national_id")
    for found in _DOCUMENT.finditer(text):
        yield Span(*found.span("value"), "national_id")


def _plausible(value: str) -> bool:
    """Nine digits and more are an id if the words say so; fewer, or with letters, need a check."""
    return len(digits_of(value)) >= 9 or any(check(value) for check in _CHECKED)
