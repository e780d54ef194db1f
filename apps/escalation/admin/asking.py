"""Questions about rows of the escalation, for the pages that ask before something is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apps.core.asking import Question, Words


def about(
    words: Words,
    make: Callable[[Any], Any],
    run: Callable[[Any], str],
    url: str,
    crumb: str,
    template: str = "escalation/form.html",
    more: dict[str, Any] | None = None,
) -> Question:
    """A question about a row.

    Args:
        make: builds the form, given what was sent (or None).
        run: does it, given the valid form, and says in words what was done.
        url: where the person gets afterwards, and by cancelling.
        crumb: how the row is called.
        more: what the template shows of the row.
    """
    return Question(words, lambda data, files: make(data), run, url, url, crumb, template, more or {})
