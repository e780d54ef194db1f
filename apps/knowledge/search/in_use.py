"""Which embedding model's vectors answer, and which are written."""

from __future__ import annotations

from apps.knowledge.models import SearchIndex
from apps.knowledge.search.embedding import Embedder, embedder, wanted


def name_in_use() -> str:
    """Name of the model whose vectors answer; before there is any, of the wanted one."""
    return SearchIndex.objects.values_list("model", flat=True).first() or wanted()


def model_in_use() -> Embedder | None:
    """The model whose vectors answer, or None if it is not there or does not run."""
    return embedder(name_in_use())


def models_to_write() -> list[Embedder]:
    """Those that new passages get vectors of: the one in use and, during a change, the one that comes after it."""
    models = [embedder(name) for name in dict.fromkeys([name_in_use(), wanted()])]
    return [model for model in models if model is not None]
