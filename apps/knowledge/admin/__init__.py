"""Pages of the knowledge base: articles and their versions, what is asked, what is missing, and how sure answers are."""

from apps.knowledge.admin import articles, asked, gaps, settings, setup

__all__ = ["articles", "asked", "gaps", "settings", "setup"]
