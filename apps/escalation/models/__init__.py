"""Rows of the escalation."""

from apps.escalation.models.calendars import Calendar, CalendarDay, Clock, ClockEvent, OpenHours
from apps.escalation.models.flags import Feedback, FlagEvent, Handover, Indicator, RiskFlag
from apps.escalation.models.indicators import Cluster, IndicatorVersion, Phrase, Proposal, Report
from apps.escalation.models.outgoing import Endpoint, OutgoingNews
from apps.escalation.models.protocol import Completion, Course, Document, DocumentVersion, Review, ReviewItem
from apps.escalation.models.teams import CannedReply, Category, Member, Team
from apps.escalation.models.tickets import Ticket, TicketEvent, TicketLink, TicketMessage

__all__ = [
    "Calendar", "CalendarDay", "CannedReply", "Category", "Clock", "ClockEvent", "Cluster", "Completion", "Course",
    "Document", "DocumentVersion", "Endpoint", "Feedback", "FlagEvent", "Handover", "Indicator", "IndicatorVersion", "Member", "OpenHours",
    "OutgoingNews", "Phrase", "Proposal", "Report", "Review", "ReviewItem", "RiskFlag", "Team", "Ticket", "TicketEvent",
    "TicketLink", "TicketMessage",
]  # fmt: skip
