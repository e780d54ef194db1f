"""Whether the owner's approval of renewals is valid."""

from __future__ import annotations

from datetime import datetime

from apps.subscriptions.factors import Finding, evaluator
from apps.subscriptions.facts import Facts


@evaluator(
    slug="approval_expiration",
    title="Approval expiration",
    weights={"NONE": 0, "HIGH": 10},
    variables={"NONE": "RISK_WEIGHT_APPROVAL_VALID", "HIGH": "RISK_WEIGHT_APPROVAL_EXPIRED"},
    mitigation={"HIGH": "Ask the owner to approve the renewal again; it must not be charged without."},
)
def evaluate(*, now: datetime, facts: Facts) -> Finding:
    """Whether an active approval of renewals ends later than now; expired and missing weigh the same."""
    ends = facts.approval_expires_at
    if ends is None:
        return Finding("HIGH", {"approval": "missing", "expires_at": None})
    valid = ends > now
    return Finding(
        "NONE" if valid else "HIGH", {"approval": "valid" if valid else "expired", "expires_at": ends.isoformat()}
    )
