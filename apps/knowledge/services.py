"""What other apps call to have questions answered; how it is done is in :mod:`apps.knowledge.answers`."""

from apps.knowledge.answers import Answer as Answer
from apps.knowledge.answers import Hit as Hit
from apps.knowledge.answers import Outcome as Outcome
from apps.knowledge.answers import answer as answer
from apps.knowledge.answers import escalated as escalated
from apps.knowledge.answers import unhelpful as unhelpful
from apps.knowledge.search.retrieve import Reader as Reader
