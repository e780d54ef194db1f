"""Why a document is not read or not taken over."""

from __future__ import annotations

from apps.core.errors import DomainError


class BadPaper(DomainError):
    """The file cannot be read. Nothing was written."""

    code = "bad_paper"
    message = "This file cannot be read."


class RegisterChanged(DomainError):
    """The register is not as it was when the preview was made."""

    code = "register_changed"
    message = "The register changed since this preview was made. Look at the new preview, then apply it."
    status = 409


class ImportClosed(DomainError):
    """The import was discarded, so there is nothing to apply."""

    code = "import_closed"
    message = "This import was discarded. Upload the file again."
    status = 409
