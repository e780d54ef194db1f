"""Action cards, what happened to them, and the rules that open them."""

from apps.actions.models.cards import ActionCard, CardEvent, SavedView
from apps.actions.models.executions import Execution
from apps.actions.models.rules import RuleRun, RuleVersion

__all__ = ["ActionCard", "CardEvent", "Execution", "RuleRun", "RuleVersion", "SavedView"]
