"""Postal addresses, where they can be recognised: street and number, post boxes, and town with code, in the forms of a dozen
countries; and what a sentence calls an address. A code alone, a town alone, or a number alone is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from apps.core.sensitive.spans import ORDERLY_WORDS, Span, orderly

_telling = partial(re.compile, flags=re.UNICODE)
_NAME = r"[^\W\d_][^\W_]*(?:['’.-][^\W_]+)*\.?"  # a word of a street's name
_CAPITAL = r"(?=[A-ZÀ-ÖØ-ÞŠŽĐŁŚŹŻČĆĘŐŰ])" + _NAME
# An order, an invoice and the like begin something else than a name.
_NO_NAME = rf"(?!(?i:(?:{ORDERLY_WORDS})s?)\b)"
_NUMBER = r"\d{1,5}(?:\s?[-/]\s?\d{1,4})?(?:\s?[A-Za-z](?!\w))?"
_UNIT = r"(?:[Aa]pt|[Aa]partment|[Ss]uite|[Ss]te|[Uu]nit|[Ff]lat|[Rr]oom|[Ff]loor|[Bb]ldg|#)\.?\s?#?\s?(?:\d{1,5}[A-Za-z]?|[A-Z])(?!\w)"
_WAYS = (
    "Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Ct|Pl|Sq|Terrace|Ter|Parkway|Pkwy|"
    "Highway|Hwy|Cir|Trl|Crescent|Cres|Gardens|Mews|Alley|Bypass|Turnpike|Esplanade|"
    "Parade|Quay|Wharf"
)
# Ways that are things and places, too; they count where a unit or a town with its code follows.
_WEAK_WAYS = (
    "Heights|Ridge|Row|Walk|Hill|Green|Mall|Crossing|Track|Square|Place|Way|Court|Close|Loop|Grove|Trail|Circle|Plaza"
)
_PLAIN_WAYS = "street|avenue|ave|road|rd|boulevard|blvd|lane|drive|terrace|crescent"
# "12 orders on the street": what stands before a way in a sentence, and in no name of one.
_ORDINARY = r"(?!(?:a|all|an|and|at|by|days?|down|each|for|from|hours?|in|items?|km|miles?|min\w*|my|of|off|on|or|orders?|our|out|over|per|their|the|this|times?|to|up|weeks?|with|years?|your)\b)"
_ENDINGS = (
    "stra(?:ß|ss)e|str\\.|gasse|allee|platz|damm|ufer|chaussee|weg|ring|straat|laan|plein|gracht|kade|singel|dijk|gatan|"
    "vägen|gränd|stien|vej|vejen|gade|veien|gata|katu|tie|kuja|utca"
)
_PREFIXED = (
    "Calle|C/|Avenida|Avda?\\.?|Plaza|Paseo|Camino|Carrer|Via|Viale|Piazza|Corso|Vicolo|Rua|Travessa|Praça|Largo|ul\\.|"
    "ulica|al\\.|Aleja|ulice|Str\\.|Strada"
)
_LINKS = (
    r"(?:de|del|della|delle|dei|di|da|do|dos|das|du|des|la|las|le|les|los|el|l['’]|d['’]|van|von|der|den|dem|af|y|e)"
)
_ENDING_STREETS = re.compile(
    rf"(?<!\w)[^\W\d_][^\W\d_-]{{2,30}}(?:[ -]?(?:{_ENDINGS})) ?{_NUMBER}(?![\w.,]\d)", re.IGNORECASE
)
_ENDING_HINTS = (
    "straße", "strasse", "str.", "gasse", "allee", "platz", "damm", "ufer", "chaussee", "weg", "ring", "straat", "laan", "plein",
    "gracht", "kade", "singel", "dijk", "gatan", "vägen", "gränd", "stien", "vej", "gade", "veien", "gata", "katu", "tie", "kuja",
    "utca",
)  # fmt: skip
_BOX_HINTS = (
    "box",
    "post",
    "boks",
    "bus",
    "apartado",
    "postal",
    "apt",
    "apartment",
    "suite",
    "flat",
    "apo",
    "fpo",
    "dpo",
    "usn",
)
_STREETS = (
    # 12 Main Street, 675 224 Forrest Hill Road, 4 N. 5th Ave
    _telling(rf"(?<![\w#.,-])\d{{1,6}}[A-Za-z]?,? (?:\d{{1,5}}[A-Za-z]? )?(?:{_CAPITAL} |\d{{1,3}}(?:st|nd|rd|th) ){{1,4}}(?:{_WAYS})\b\.?"),
    # 12 main street
    re.compile(rf"(?<![\w#.,-])\d{{1,5}} (?:{_ORDINARY}{_NAME} ){{1,2}}(?:{_PLAIN_WAYS})\b", re.IGNORECASE),
    # Hauptstraße 5a, Kerkstraat 12, Storgatan 3
    _ENDING_STREETS,
    # 12 bis, rue de la Paix
    re.compile(
        rf"(?<![\w#.,-])\d{{1,4}}(?: ?(?:bis|ter))?,? (?:rue|avenue|av\.|boulevard|bd\.?|chemin|impasse|allée|quai|(?:place|route|cours|square)(?= d))"
        rf" (?:{_LINKS} ?){{0,3}}{_NAME}(?:[ -]{_CAPITAL}){{0,3}}", re.IGNORECASE,
    ),
    # Calle de Alcalá, 42; Via Roma 3; ul. Jesionowa 127
    _telling(rf"(?<!\w)(?:{_PREFIXED}) ?(?:{_LINKS} ?){{0,3}}{_CAPITAL}(?: (?:{_LINKS} )?{_CAPITAL}){{0,3}},? (?:n[.º°]? ?)?{_NUMBER}(?![\w.,]\d)"),
)  # fmt: skip
# British postcodes, by the form of BS 7666; the blank tells them from numbers of parts.
_POSTCODE = (
    r"(?:GIR 0AA|[A-PR-UWYZ](?:\d{1,2}|\d[A-HJKPSTUW]|[A-HK-Y]\d{1,2}|[A-HK-Y]\d[ABEHMNPRV-Y]) \d[ABD-HJLNP-UW-Z]{2})"
)
# A name and a number, which is an address only where a unit or a town with its code follows.
_LOOSE = _telling(
    rf"(?<![\w#.,-])\d{{1,6}}[A-Za-z]? (?:{_CAPITAL} ){{1,4}}(?:{_WEAK_WAYS})\b|"
    rf"(?<![\w#.,-])(?:\d{{1,6}} ){{0,2}}{_NO_NAME}{_CAPITAL}(?: (?:{_LINKS} )?{_CAPITAL}){{0,3}} {_NUMBER}(?![\w]|[.,]\d)\.?"
)
_SURE = re.compile(rf"(?<!\d)\d{{5,6}}(?!\d)|{_POSTCODE}|(?![Rr]oom|[Ff]loor|#){_UNIT}")
_BOXES = re.compile(
    r"(?<!\w)(?:apt\.?|apartment|suite|flat) #?\d{1,5}[a-z]?(?![\w.,]\d)(?!\w)|"
    r"(?<!\w)(?:p\.? ?o\.? ?box|post(?:fach|bus|boks|box)|apartado(?: de correos)?|bo[iî]te postale|casella postale) ?#?\d{1,6}(?!\w)"
    r"|(?<!\w)(?:psc|unit|cmr) \d{1,5},? box \d{1,5}(?!\w)|(?<!\w)[AFD]PO,? (?:A[AEP]) \d{5}(?:-\d{4})?(?!\w)"
    r"|(?<!\w)USN[SV] [^\W\d_]+(?=\s[AFD]PO )",
    re.IGNORECASE,
)
_STATES = (
    "AL|AK|AZ|AR|CA|CO|CT|DE|DC|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|NC|ND|OH|OK|OR|PA|"
    "RI|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY"
)
_TOWNS = (
    _telling(rf"(?<!\w){_CAPITAL}(?: {_CAPITAL}){{0,3}},? (?:{_STATES})\.?,? \d{{5}}(?:-\d{{4}})?(?![\w-])"),
    _telling(rf"(?<!\w){_POSTCODE}(?!\w)"),
)
# What goes on an address: units, towns with codes, countries; up to the last code, so that sentences are left alone.
_ONWARD = _telling(
    rf"(?:(?: ?, ?|\s*\n\s*| )(?:{_UNIT}|{_POSTCODE}|(?:\d{{4,6}} )?(?!{_POSTCODE}){_NO_NAME}{_CAPITAL}(?:[ -](?!{_POSTCODE}){_NO_NAME}{_CAPITAL}){{0,4}}(?:,? \d{{3,6}}(?:-\d{{4}})?(?![\w.,]\d))?|[A-Z]{{1,3}}|"
    rf"\d{{4,6}}(?:-\d{{3,4}})?(?![\w.,]\d))){{1,8}}"
)
# 10115 Berlin, 1017 GP Amsterdam
_CODE_AND_TOWN = _telling(
    rf"(?: ?, ?|\s*\n\s*| )\d{{4,5}}(?: ?[A-Z]{{2}})? {_CAPITAL}(?:[ -]{_NO_NAME}{_CAPITAL})?(?!\w)"
)
_CODE_AT_END = re.compile(rf"(?:(?<!\d)\d{{4,6}}(?:-\d{{3,4}})?|{_POSTCODE}|{_UNIT})(?!\w)")
_SAID = re.compile(
    r"(?<![\w\[@-])(?P<word>(?:(?<!e-mail )(?<!email )(?<!mail )(?<!ip )(?<!web )(?<!network )(?<!mac )address|adresse|anschrift|dirección|"
    r"direccion|indirizzo|endereço|live at|lives at|living at|moved to|ship(?:ped)? (?:it )?to|deliver(?:ed)? (?:it )?to|send (?:it )?to|"
    r"wohne in)(?: of [^\W\d_]{1,30}(?: [^\W\d_]{1,30})?)?(?: (?:is|ist|es|è|now|to))*\s?:?\s?)"
    r"(?P<value>\d{1,6}[A-Za-z]?[ ,][^\n.;?!\[\]@]{2,80}|[^\W\d_][^\n.;?!\[\]@,]{2,40}? \d{1,5}[A-Za-z]?(?![\w:-]))",
    re.IGNORECASE,
)
_CODE_SAID = re.compile(
    r"(?<![\w\[])(?:zip(?: ?code)?|post(?:al)? ?code|postleitzahl|plz|código postal|code postal|cap)(?: (?:is|ist|es|est|of|number))*\s?[:=]?\s?"
    r"(?P<value>\d{4,6}(?:-\d{3,4})?(?![\w.,]\d)(?!\w)|[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}(?!\w))",
    re.IGNORECASE,
)
# An address in words begins with a number and a name, or has a way or a unit; "send to 3 friends of mine, ring me" has none.
_LIKE_AN_ADDRESS = re.compile(
    rf"\d{{1,6}}[A-Za-z]?,? (?:\d{{1,5}} )?{_CAPITAL}|{_CAPITAL}(?: [^\W\d_]+){{0,3}} \d|.*(?:\b(?:{_PLAIN_WAYS})\b|\w\w(?:{_ENDINGS})\b|{_UNIT})",
    re.UNICODE,
)
# Where a sentence goes on after what it called an address.
_GOES_ON = re.compile(
    r"[,;]? (?:and|but|because|before|instead|it|i|my|not|number|order|orders|please|since|so|thank\w*|und|when|which|while|y|et)\b",
    re.IGNORECASE,
)
_DIGIT = re.compile(r"\d")


def find_places(text: str) -> Iterator[Span]:
    """Postal addresses. Whatever the words before it call an order, a parcel or the like is none."""
    if _DIGIT.search(text) is None:
        return
    for start, end in _written(text):
        if not orderly(text, start):
            yield Span(start, end, "address")
    for found in _SAID.finditer(text):
        value = _GOES_ON.split(found["value"], maxsplit=1)[0].rstrip(" ,")
        if _LIKE_AN_ADDRESS.match(value) and _DIGIT.search(value):
            start = found.start("value")
            yield Span(start, _onward(text, start + len(value)), "address")
    for found in _CODE_SAID.finditer(text):
        yield Span(*found.span("value"), "address")


def _written(text: str) -> Iterator[tuple[int, int]]:
    """Places of what is written as an address."""
    lower = text.lower()
    for pattern in (*_STREETS, _BOXES):
        # Dear to look for, and without one of these parts there is none.
        hints = _BOX_HINTS if pattern is _BOXES else _ENDING_HINTS if pattern is _ENDING_STREETS else ()
        if not hints or any(hint in lower for hint in hints):
            for found in pattern.finditer(text):
                yield found.start(), _onward(text, found.end())
    for found in _LOOSE.finditer(text):
        end = _onward(text, found.end())
        if _SURE.search(text, found.end(), end):
            yield found.start(), end
    for pattern in _TOWNS:
        for found in pattern.finditer(text):
            yield found.span()


def _onward(text: str, end: int) -> int:
    """Where an address ends that goes on with a unit, a town and a code; what has no such thing ends where it was."""
    if (town := _CODE_AND_TOWN.match(text, end)) is not None:
        return town.end()
    found = _ONWARD.match(text, end)
    if found is None:
        return end
    last = end
    for code in _CODE_AT_END.finditer(text, end, found.end()):
        last = code.end()
    return last
