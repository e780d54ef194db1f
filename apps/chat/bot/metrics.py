"""Figures of the bot for Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

turns_total = Counter("riskdesk_chat_bot_turns_total", "Answers that the bot owed, by what became of them", ["outcome"])
answer_seconds = Histogram(
    "riskdesk_chat_bot_answer_seconds",
    "Time from the customer's last message to the stored answer of the bot",
    buckets=(0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 1.5, 2.5, 5, 10, 30),
)
handoffs_total = Counter("riskdesk_chat_handoffs_total", "Conversations handed to people, by reason", ["reason"])
tickets_total = Counter("riskdesk_chat_tickets_total", "Conversations that go on as a ticket", ["reason"])
lookups_total = Counter("riskdesk_chat_lookups_total", "Orders and subscriptions looked up", ["matter", "outcome"])
codes_total = Counter("riskdesk_chat_codes_total", "One-time codes, by what became of them", ["outcome"])
