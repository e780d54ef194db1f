"""What the knowledge base refuses, each with its stable code."""

from __future__ import annotations

from apps.core.errors import DomainError


class ArticleNotFound(DomainError):
    """There is no such article, or it is outside the person's scope; which of the two is not told."""

    code = "not_found"
    message = "There is no such article."
    status = 404


class NotAllowed(DomainError):
    """The person's role does not include this, or the article is somebody else's."""

    code = "not_allowed"
    message = "Your role does not include this, or the article is somebody else's."
    status = 403


class OwnVersion(DomainError):
    """The author may not review."""

    code = "own_version"
    message = "Somebody else than the author has to review it."
    status = 403


class VersionChanged(DomainError):
    """The text is not what the person looked at. ``digest`` is the text's now."""

    code = "version_changed"
    message = "The text changed since you looked at it."
    status = 409

    def __init__(self, digest: str) -> None:
        self.digest = digest
        super().__init__()

    @property
    def version(self) -> str:
        """What a form has to be bound to now, see :mod:`apps.core.asking`."""
        return self.digest


class ArticleChanged(DomainError):
    """The article's details are not what the person looked at. ``edition`` is theirs now."""

    code = "article_changed"
    message = "Somebody changed the article's details since you looked at them."
    status = 409

    def __init__(self, edition: int) -> None:
        self.edition = edition
        super().__init__()

    @property
    def version(self) -> int:
        """What a form has to be bound to now, see :mod:`apps.core.asking`."""
        return self.edition


class WrongState(DomainError):
    """What was asked does not fit the state that the version or the article is in."""

    code = "wrong_state"
    status = 409


class DraftExists(DomainError):
    """There is a draft already; two at once would be written against each other."""

    code = "draft_exists"
    message = "There is a draft of this article already. Go on with that one, or wait until it is decided."
    status = 409


class SlugTaken(DomainError):
    """Another article has the address, or had it."""

    code = "slug_taken"
    message = "Another article has this address, or had it."
    status = 409


class InvalidArticle(DomainError):
    """Something is missing or does not fit; ``fields`` tells what."""

    code = "invalid_article"
    message = "Something is missing or does not fit."
    status = 422
