"""Logging: structlog for our own events and everybody else's, as JSON or for reading.

Secrets are masked, and so is what names a person: e-mail addresses, and the row that PostgreSQL quotes in its errors.
What remains of people is the id of the one who is signed in and the address that the request came from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog
from structlog.typing import Processor

MASK = "[redacted]"
_SECRET_KEY = re.compile(
    r"passw|secret|token|authori[sz]ation|hmac|signature|cookie|credential|api_?key|private_?key|field_?keys|session_?(id|key)",
    re.IGNORECASE,
)
_HIDDEN_TEXTS = (
    (re.compile(r"(?i)\b(bearer)\s+[^\s\"',;]+"), rf"\1 {MASK}"),
    (re.compile(r"(?i)\b((?:proxy-)?authorization['\"]?\s*[:=]\s*['\"]?basic)\s+[^\s\"',;]+"), rf"\1 {MASK}"),
    (re.compile(r"\bshp(?:at|ca|pa|ss|ua)_[0-9A-Za-z]+"), MASK),
    (re.compile(r"(?<=://)[^\s/@:]*:[^\s/@]+(?=@)"), MASK),
    # "DETAIL:  Key (email)=(ann@example.com) already exists." or "Failing row contains (1, Ann, ...)."
    (re.compile(r"(?ms)^(\s*DETAIL:).*?(?=\n\n|\n[A-Z]+:|\Z)"), rf"\1 {MASK}"),
    (re.compile(r"(Key \(.*?\)=|Failing row contains )\(.*\)"), rf"\1({MASK})"),
    (re.compile(r"[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"), "[address]"),
)
_DEPTH = 8


def redact(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: mask values under keys that name a secret, and what must not be told in any text."""
    for key, value in event.items():
        event[key] = MASK if _names_a_secret(key) and value else _clean(value, _DEPTH)
    return event


def _names_a_secret(key: object) -> bool:
    return isinstance(key, str) and _SECRET_KEY.search(key) is not None


def _clean(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        for pattern, replacement in _HIDDEN_TEXTS:
            value = pattern.sub(replacement, value)
        return value
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if depth == 0:
        return "..." if isinstance(value, (Mapping, list, tuple, set, frozenset)) else value
    if isinstance(value, Mapping):
        return {
            key: MASK if _names_a_secret(key) and inner else _clean(inner, depth - 1) for key, inner in value.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean(inner, depth - 1) for inner in value]
    if isinstance(value, BaseException):
        return _clean(f"{type(value).__name__}: {value}", depth)
    return value


# What happens to every event, ours or a library's, before it is written.
_COMMON: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]


def configure(*, log_format: str, level: str) -> dict[str, Any]:
    """Set structlog up and return Django's ``LOGGING``.

    Args:
        log_format: ``json`` or ``console``.
        level: lowest level that is written.
    """
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_COMMON,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "events": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": _COMMON,
                "processors": formatting(log_format),
            }
        },
        "handlers": {"events": {"class": "logging.StreamHandler", "formatter": "events"}},
        "root": {"handlers": ["events"], "level": level},
        "loggers": _loggers(),
    }


def formatting(log_format: str) -> list[Processor]:
    """The last steps: tracebacks become text before secrets are masked, so that they are masked too."""
    last: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        redact,
    ]
    if log_format == "json":
        return [*last, structlog.processors.JSONRenderer(default=str, sort_keys=True)]
    return [*last, structlog.dev.ConsoleRenderer(colors=False)]


def _loggers() -> dict[str, Any]:
    to_root: dict[str, Any] = {"handlers": [], "propagate": True}
    quiet = {"level": "WARNING"}
    return {
        "django": to_root,
        "django.server": to_root | quiet,
        # Each request and each task is told once, by django-structlog.
        "django.request": {"level": "CRITICAL"},
        "uvicorn": to_root,
        "uvicorn.access": to_root | quiet,
        "celery": to_root,
        "celery.app.trace": {"level": "CRITICAL"},
        "celery.worker.strategy": quiet,
        # They write whole addresses, and in detail the headers too.
        "httpx": quiet,
        "httpcore": quiet,
    }
