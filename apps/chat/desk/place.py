"""Where the desk stands in the rail."""

from apps.chat.binding import VIEW
from apps.core.home import link
from apps.core.site import WORK


def show() -> None:
    """Put the desk into the rail of those who read conversations."""
    link(group=WORK, title="Chat desk", icon="chat", url_name="chat_desk", permission=VIEW, order=15)
