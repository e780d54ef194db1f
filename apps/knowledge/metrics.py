"""Figures of the knowledge base for Prometheus."""

from __future__ import annotations

from prometheus_client import Counter

written_total = Counter(
    "riskdesk_answers_written_total", "Answers that a model rephrased, by what became of them", ["outcome"]
)
attacks_total = Counter(
    "riskdesk_answer_attacks_total", "Questions that give orders to the machine, by where they came from", ["source"]
)
answers_total = Counter(
    "riskdesk_answers_total",
    "Questions by outcome, and whether something was missing meanwhile",
    ["outcome", "degraded"],
)
embedding_failures_total = Counter("riskdesk_embedding_failures_total", "Calls of the embedding model that failed")
