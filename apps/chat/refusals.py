"""What chat refuses, each with its stable code."""

from __future__ import annotations

from apps.core.errors import DomainError


class ConversationNotFound(DomainError):
    """There is no such conversation, or it is not theirs; which of the two is not told."""

    code = "not_found"
    message = "There is no such conversation."
    status = 404


class NotAllowed(DomainError):
    """The person's role does not include this."""

    code = "not_allowed"
    message = "Your role does not include this."
    status = 403


class EmptyMessage(DomainError):
    """Nothing was said."""

    code = "empty_message"
    message = "Write something first."
    status = 422


class MessageTooLong(DomainError):
    """More than a message may hold."""

    code = "message_too_long"
    message = "This is too long for one message."
    status = 422


class TurnPassed(DomainError):
    """The bot's words are for a turn that has passed: the customer wrote on, or a person took over."""

    code = "turn_passed"
    message = "The conversation went on."
    status = 409


class ConversationChanged(DomainError):
    """Somebody changed its state, team or person meanwhile. ``version`` is what it is now."""

    code = "conversation_changed"
    message = "Somebody changed this conversation since you looked at it."
    status = 409

    def __init__(self, version: int) -> None:
        self.version = version
        super().__init__()


class WrongState(DomainError):
    """What was asked does not fit the conversation's state."""

    code = "wrong_state"
    message = "This cannot be done with a conversation in this state."
    status = 409


class NotYours(DomainError):
    """Only the person who has a conversation answers its customer."""

    code = "not_yours"
    message = "Take the conversation over first; then you can answer."
    status = 409


class CannotGive(DomainError):
    """The person or team cannot take this conversation."""

    code = "cannot_give"
    message = "This person or team cannot take the conversation."
    status = 422


class NoSuchSite(DomainError):
    """No widget goes by this key, or it is not in use."""

    code = "no_such_site"
    message = "There is no chat here."
    status = 404


class OriginRefused(DomainError):
    """The page is not one that may carry this chat."""

    code = "origin_refused"
    message = "This page may not show this chat."
    status = 403


class IdentityRefused(DomainError):
    """The page's word for who its visitor is does not hold."""

    code = "identity_refused"
    message = "Who you are could not be confirmed. Reload the page."
    status = 401


class IdentityChanged(DomainError):
    """The browser's session belongs to somebody else; it needs a new key."""

    code = "identity_changed"
    message = "Somebody else used this chat here. It starts anew."
    status = 409


class SessionOver(DomainError):
    """The token opens nothing, or nothing any more."""

    code = "session_over"
    message = "This chat has to be opened again."
    status = 401


class BadRequest(DomainError):
    """What was sent cannot be read."""

    code = "bad_request"
    message = "This could not be read."
    status = 400


class TooLarge(DomainError):
    """More bytes than may be sent at once."""

    code = "too_large"
    message = "This is too large to be sent at once."
    status = 413


class FileRefused(DomainError):
    """A file that is not taken."""

    code = "file_refused"
    message = "This file cannot be sent."
    status = 422


class WrongType(DomainError):
    """What a file holds is of no type that is taken."""

    code = "wrong_type"
    message = "Only pictures, PDF and plain text can be sent."
    status = 415


class NotStored(DomainError):
    """It could not be stored now; sending it again with the same id is safe."""

    code = "not_stored"
    message = "It could not be stored just now. It is sent again."
    status = 503
    retry_after = 2


class NoSuchHandoff(DomainError):
    """There is no such hand-off, or another person accepted it; which of the two is not told."""

    code = "not_found"
    message = "There is no such hand-off."
    status = 404


class NotSignedIn(DomainError):
    """A stranger, or somebody who signed out meanwhile."""

    code = "not_signed_in"
    message = "You are not signed in any more."
    status = 401


class NoSuchAct(DomainError):
    """The desk does nothing of this name."""

    code = "not_found"
    message = "There is nothing of this name to do."
    status = 404
