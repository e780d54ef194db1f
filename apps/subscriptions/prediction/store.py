"""Files of trained models, outside the repository; only what the system wrote itself is read.

A file is JSON, so that reading it runs nothing. It is read only if its name is one that this module gives and its SHA-256
is the one that was stored with its version, and then only if it fits the schema.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import tempfile
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from pydantic import ValidationError

from apps.core.errors import DomainError
from apps.subscriptions.models import RenewalModel
from apps.subscriptions.prediction.features import FEATURES
from apps.subscriptions.prediction.model import Model

NAME = re.compile(r"renewal-\d{1,9}-[0-9a-f]{12}\.json\Z")
LARGEST = 20 * 1024 * 1024


class ModelUnusable(DomainError):
    """A model's file is missing, was changed, or does not fit this version of the product."""

    code = "model_unusable"
    message = "The model's file cannot be used."


def write(model: Model, version: int) -> tuple[str, str]:
    """Write a model. Returns the file's name in the folder and its SHA-256."""
    content = model.model_dump_json().encode()
    digest = hashlib.sha256(content).hexdigest()
    folder = Path(settings.RENEWAL_MODEL_DIR)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    name = f"renewal-{version}-{digest[:12]}.json"
    handle, temporary = tempfile.mkstemp(dir=folder)  # readable by us only
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(folder / name)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
    return name, digest


def read(row: RenewalModel) -> Model:
    """The model of a version.

    Raises:
        ModelUnusable: and why; nothing of the file was used then.
    """
    return _read(row.file, row.sha256)


@lru_cache(maxsize=2)
def _read(name: str, sha256: str) -> Model:
    if not NAME.match(name):
        raise ModelUnusable("The model's file has a name that the system does not give.")
    path = Path(settings.RENEWAL_MODEL_DIR) / name
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError:
        raise ModelUnusable(f"The model's file {name} is not there. Train again.") from None
    if len(content) > LARGEST or not hmac.compare_digest(hashlib.sha256(content).hexdigest(), sha256):
        raise ModelUnusable(f"The model's file {name} is not the one that was written. Train again.")
    try:
        model = Model.model_validate_json(content)
    except ValidationError:
        raise ModelUnusable(f"The model's file {name} does not fit this version. Train again.") from None
    if model.features != tuple(FEATURES):
        raise ModelUnusable(f"The model's file {name} was trained on other features. Train again.")
    return model
