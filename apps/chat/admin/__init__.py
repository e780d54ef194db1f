"""Pages of the chat in the admin."""

from apps.chat.admin import people, policies, sites  # noqa: F401  # registers their pages
