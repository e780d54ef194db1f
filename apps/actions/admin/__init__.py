"""What operators see: the queue, a card and its decisions, the rules, the runs, the dashboard."""

from apps.actions.admin import queue, records, rules

__all__ = ["queue", "records", "rules"]
