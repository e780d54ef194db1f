"""Addresses of the API of tickets and flags."""

from django.urls import path

from apps.escalation import api_flags, api_tickets

_TICKET = "tickets/<int:ticket_id>"
_FLAG = "flags/<int:flag_id>"
urlpatterns = [
    path("tickets", api_tickets.TicketsView.as_view(), name="tickets"),
    path(_TICKET, api_tickets.OneTicketView.as_view(), name="ticket"),
    path(f"{_TICKET}/edit", api_tickets.EditView.as_view(), name="ticket_edit"),
    path(f"{_TICKET}/reply", api_tickets.ReplyView.as_view(), name="ticket_reply"),
    path(f"{_TICKET}/receive", api_tickets.ReceiveView.as_view(), name="ticket_receive"),
    path(f"{_TICKET}/note", api_tickets.TicketNoteView.as_view(), name="ticket_note"),
    path(f"{_TICKET}/assign", api_tickets.AssignView.as_view(), name="ticket_assign"),
    path(f"{_TICKET}/transition", api_tickets.MoveView.as_view(), name="ticket_move"),
    path(f"{_TICKET}/merge", api_tickets.MergeView.as_view(), name="ticket_merge"),
    path("flags", api_flags.FlagsView.as_view(), name="flags"),
    path(_FLAG, api_flags.OneFlagView.as_view(), name="flag"),
    path(f"{_FLAG}/transition", api_flags.StepView.as_view(), name="flag_step"),
    path(f"{_FLAG}/acknowledge", api_flags.AcknowledgeView.as_view(), name="flag_acknowledge"),
    path(f"{_FLAG}/level", api_flags.LevelView.as_view(), name="flag_level"),
    path(f"{_FLAG}/note", api_flags.FlagNoteView.as_view(), name="flag_note"),
]
