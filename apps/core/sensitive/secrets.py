"""Passwords and one-time codes by the words before them, and keys and tokens by their form."""

from __future__ import annotations

import re
from collections.abc import Iterator

from apps.core.sensitive.spans import Span

_INTRODUCING = (
    r"pass\s?words?|passwd|passwort|kennwort|passphrase|pass\s?codes?|pwd|contrase[nñ]a|clave|mot de passe|senha|"
    r"palavra[- ]passe|parola d'ordine|wachtwoord|l[oö]senord|has[lł]o"
)
_INTRODUCING_KEYS = (
    r"client secret|secret key|secret|api[ _-]?key|access[ _-]?key|private key|(?:access|auth|bearer|api|refresh) ?token|"
    r"security answer|recovery (?:code|phrase|key)|seed phrase|token"
)
_IS = r"(?:is|was|are|be|ist|lautet|war|es|est|era|[eé]|jest|är)"
_AFTER = rf"""(?:\s+(?:to|for)\s+(?:the|my|our|this)?\s*[\w.@-]{{1,40}}(?:\s+account)?)?(?P<how>\s*[:=]+\s*|\s*(?:->|→)\s*|\s+{_IS}\s*:?\s+(?:now\s+|still\s+)?|\s+)"""
_VALUE = r"""(?P<value>"[^"\n]{1,80}"|'[^'\n]{1,80}'|`[^`\n]{1,80}`|“[^”\n]{1,80}”|[^\s\[\]"'`“”<>]{1,120})"""
_IN_CONTEXT = re.compile(rf"(?<![\w\[])(?P<word>{_INTRODUCING}|{_INTRODUCING_KEYS})\b{_AFTER}{_VALUE}", re.IGNORECASE)
_CODE = re.compile(
    r"(?<![\w\[])(?P<word>cvv2?|cvc2?|security code|pin(?: ?code| ?number)?|otp|tan|one[- ]time (?:code|password|pin)|"
    r"(?:verification|confirmation|login|sign[- ]?in|auth\w*|2fa|mfa|access) code)\b\s*"
    rf"(?:number\s*|on the back\s*)?(?:{_IS}\b|[:=#])?\s*:?\s*(?P<value>\d(?:[ -]?\d){{2,7}})(?![\d.,]*\d)",
    re.IGNORECASE,
)
_KEYS = re.compile(
    r"""-----BEGIN\ [A-Z ]*PRIVATE\ KEY-----[\s\S]{0,8000}?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    | (?<![A-Za-z0-9_-])(?:
        (?:sk|pk|rk|whsec)_(?:live_|test_)?[A-Za-z0-9+/=]{16,}
      | sk-(?:[A-Za-z]{2,10}-)?[A-Za-z0-9_-]{20,}
      | gh[opsur]_[A-Za-z0-9]{20,} | github_pat_[A-Za-z0-9_]{20,} | glpat-[A-Za-z0-9_-]{16,}
      | xox[abeoprs]-[A-Za-z0-9-]{10,} | (?:AKIA|ASIA)[A-Z0-9]{16} | AIza[A-Za-z0-9_-]{30,} | ya29\.[A-Za-z0-9_-]{20,}
      | shp(?:at|ca|pa|ss|ua)_[A-Fa-f0-9]{16,} | rd_[A-Za-z0-9]{24,} | npm_[A-Za-z0-9]{20,} | pypi-[A-Za-z0-9_-]{20,}
      | SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,} | hf_[A-Za-z0-9]{20,} | EAA[A-Za-z0-9]{30,}
      | eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?
    )
    | (?<=\bbearer\ )[A-Za-z0-9._~+/-]{16,}=* | (?<=\bbasic\ )[A-Za-z0-9+/]{16,}={0,2}""",
    re.VERBOSE | re.IGNORECASE,
)
_IN_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@\[\]]{1,80}:(?P<value>[^\s/@\[\]]{1,120})@", re.IGNORECASE)
# Words that go on a sentence about passwords, and are none: "my password is not accepted".
_GO_ON = frozenset(
    re.findall(
        r"\S+",
        """
        a aber abgelaufen about accepted again all already also always an and any are as asked at auch back be because
        been before being blank blocked broken by can can't cannot case changed compromised correct could did didn't
        different do does doesn't each empty encrypted expired failed fails falsch field fine for forgotten form from
        get gone good had has hasn't have hidden if in incorrect incorrecta incorrecto invalid is isn't ist it its
        just keeps known korrekt last leaked link locked long longer lost manager may me might missing must my needs
        never new nicht no noch not nothing now of off ok okay old olvidada on once only or oublié our out over page
        pas please policy private protected really recovery rejected required reset richtig right safe same saved
        schon screen secret secure sent set shall she should show shown so still stolen stored strong such than that
        the their them then there they this to too twice ungültig unknown unsafe until up used vergessen very via
        visible was wasn't we weak what when where which while who why will with won't working would wrong yet you
        your zu zurück zurücksetzen
        """,
    )
)
_STRIP = ".,;:!?)}»"


# Parts of all the words above. Most texts have none, and looking for them is cheap.
_HINTS = (
    "pass", "pwd", "kennwort", "contrase", "clave", "mot de", "senha", "parola", "wachtwoord", "senord", "haslo", "hasło",
    "secret", "key", "token", "security", "recovery", "seed",
)  # fmt: skip
_CODE_HINTS = ("cvv", "cvc", "code", "pin", "otp", "tan", "password")


def find_secrets(text: str) -> Iterator[Span]:
    """Passwords, codes, keys and tokens."""
    lower = text.lower().replace("ö", "o")
    for found in _KEYS.finditer(text):
        yield Span(*found.span(), "secret")
    if "://" in text:
        for found in _IN_ADDRESS.finditer(text):
            yield Span(*found.span("value"), "password")
    if any(hint in lower for hint in _HINTS):
        yield from _said(text)
    if any(hint in lower for hint in _CODE_HINTS):
        for found in _CODE.finditer(text):
            yield Span(*found.span("value"), "code")


def _said(text: str) -> Iterator[Span]:
    """What a word such as "password" introduces."""
    place = 0
    while (found := _IN_CONTEXT.search(text, place)) is not None:
        start, end = _trimmed(text, *found.span("value"))
        if end > start and _is_secret(text[start:end], found["how"], found["word"]):
            is_password = re.fullmatch(_INTRODUCING, found["word"], re.IGNORECASE) is not None
            yield Span(start, end, "password" if is_password else "secret")
            place = end
        else:
            place = found.end("word")


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Without the sentence's punctuation, and without quotes; what ends in several marks may be a password."""
    if text[start] in "\"'`“" and end - start > 2:
        return start + 1, end - 1
    if text[end - 1] in _STRIP:
        end -= 1
    return start, end


def _is_secret(value: str, how: str, word: str) -> bool:
    """Whether what follows a word such as "password" is one, or only the rest of a sentence about passwords."""
    said = how.strip()
    lower = value.lower().strip(_STRIP)
    mixed = any(char.isdigit() for char in value) or any(not char.isalnum() for char in value.strip(_STRIP + "-'’"))
    if not said or (word.lower() == "token" and said not in (":", "=")):
        # "password hunter2" says nothing between; only what looks made up counts.
        return len(value) >= 5 and any(char.isdigit() for char in value) and any(char.isalpha() for char in value)
    if said[0] in ":=-→":
        return bool(lower) and lower not in _GO_ON
    ordinary = lower in _GO_ON or re.fullmatch(r"[a-zäöüßéñ]+(?:ing|ed)", value) is not None
    return len(value) >= 3 and (mixed or not ordinary) and not lower.endswith(("n't", "n’t"))
