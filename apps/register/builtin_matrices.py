"""The matrices that every installation starts with, as data; see :class:`apps.register.matrices.MatrixData`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

_THREE = ["Low", "Medium", "High"]
_FIVE_LEVELS = ["Very low", "Low", "Medium", "High", "Very high"]
_LADDER = ["Minimal", "Low", "Medium", "High", "Critical"]


def _five(levels: list[str]) -> list[list[str]]:
    """Five by five: the product of the steps decides, at 3, 6, 12 and 20 the next level begins."""
    return [
        [levels[sum(probability * impact >= edge for edge in (3, 6, 12, 20))] for impact in range(1, 6)]
        for probability in range(1, 6)
    ]


# slug: title and data. The names of the ladder's levels are those of risk flags.
BUILTIN: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "low-medium-high": (
            "Low, Medium, High",
            {
                "probability": _THREE,
                "impact": _THREE,
                "levels": _THREE,
                "cells": [["Low", "Low", "Medium"], ["Low", "Medium", "High"], ["Medium", "High", "High"]],
                "review_every_days": {"High": 30, "Medium": 90, "Low": 180},
            },
        ),
        "five-by-five": (
            "Five by five",
            {
                "probability": ["Rare", "Unlikely", "Possible", "Likely", "Almost certain"],
                "impact": ["Negligible", "Minor", "Moderate", "Major", "Severe"],
                "levels": _FIVE_LEVELS,
                "cells": _five(_FIVE_LEVELS),
                "review_every_days": {"Very high": 14, "High": 30, "Medium": 90, "Low": 180, "Very low": 365},
            },
        ),
        "protocol-levels": (
            "Levels 1 to 5 of the protocol",
            {
                "probability": ["Rare", "Unlikely", "Possible", "Likely", "Almost certain"],
                "impact": ["Negligible", "Minor", "Moderate", "Major", "Severe"],
                "levels": _LADDER,
                "cells": _five(_LADDER),
                "review_every_days": {"Critical": 7, "High": 30, "Medium": 90, "Low": 180, "Minimal": 365},
            },
        ),
    }
)
