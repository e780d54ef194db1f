"""Search: the model that turns texts into vectors is there and does its work."""

from __future__ import annotations

from datetime import datetime, timedelta
from time import perf_counter

import numpy as np
from pydantic import Field

from apps.knowledge.calibration import current_settings
from apps.knowledge.search.embedding import EmbeddingFailed, wanted
from apps.knowledge.search.in_use import model_in_use, name_in_use
from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site

SAME = ("Where is my parcel?", "Where is my package?")
OTHER = "How do I change my password?"


class Settings(CheckSettings):
    """What is bearable."""

    milliseconds: int = Field(
        200, ge=1, le=10_000, title="Milliseconds", description="A question's vector takes so long at most."
    )


@check(
    slug="embedding-model",
    title="The search understands questions in other words",
    every=timedelta(hours=1),
    settings=Settings,
    later=True,
    mitigation="Install the packages of requirements.txt again, or see EMBEDDING_MODEL; until then words alone are searched.",
)
def look(*, now: datetime, settings: Settings, site: Site) -> Finding:
    """Turns three questions into vectors: two that mean the same must be nearer to each other than to the third."""
    name, model = name_in_use(), model_in_use()
    if model is None:
        return concluded("", failures=[f"The model {name} is not there or does not run."], facts={"model": name})
    begun = perf_counter()
    try:
        vectors = model([*SAME, OTHER])
    except EmbeddingFailed:
        return concluded("", failures=[f"The model {name} does not run."], facts={"model": name})
    took = (perf_counter() - begun) / 3 * 1000
    near, far = float(vectors[0] @ vectors[1]), float(vectors[0] @ vectors[2])
    lengths = np.linalg.norm(vectors, axis=1)
    failures = [] if np.allclose(lengths, 1, atol=0.01) else ["Vectors are not of length 1."]
    failures += [] if near > far else ["Questions that mean the same are no nearer than others."]
    warnings = [f"A question takes {took:.0f} ms."] if took > settings.milliseconds else []
    warnings += [f"Another model is being changed to: {wanted()}."] if wanted() != name else []
    learnt = current_settings().model
    warnings += (
        [f"The thresholds were chosen with {learnt}; run manage.py calibrate_answers."]
        if learnt not in ("", name)
        else []
    )
    return concluded(
        f"{name} runs, and tells questions that mean the same from others.",
        failures=failures,
        warnings=warnings,
        facts={"model": name, "near": round(near, 2), "far": round(far, 2), "calibratedWith": learnt},
        query="vectors of three questions",
    )
