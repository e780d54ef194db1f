"""Both documents that the product ships arrive complete, item by item; and nothing is ever dropped in silence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.register.papers.markdown import read_markdown
from apps.register.papers.reading import read
from apps.register.papers.refusals import BadPaper
from apps.register.papers.shapes import Paper, PaperGate, PaperProvision, from_json

FOLDER = Path("apps/register/data/assessments")


def shipped(name: str) -> Paper:
    return read(f"{name}.md", (FOLDER / f"{name}.md").read_bytes())


def prose_expected() -> list[tuple[str, str, str, str, str, str]]:
    """Section, number, title, probability, impact and mitigation, by a reading of the lines that is not the reader's."""
    found, section, lines = [], "", iter((FOLDER / "chat_service.md").read_text().splitlines())
    for line in lines:
        if line.startswith("## "):
            section = line[3:]
        elif match := re.match(r"(\d+)\. \*\*(.+)\*\*$", line):
            values = [next(lines).split(": ", 1)[1] for _ in range(3)]
            found.append((section.removesuffix(" Risks"), match[1], match[2], *values))
    return found


def test_every_risk_of_the_prose_document_arrives():
    risks = shipped("chat_service").risks
    expected = prose_expected()
    assert len(risks) == len(expected) == 23
    for risk, (section, number, title, probability, impact, mitigation) in zip(risks, expected, strict=True):
        assert (risk.path, risk.number, risk.title) == ((section,), number, title)
        score = risk.score()
        assert score is not None
        assert (score.probability, score.impact, score.level) == (probability, impact, "")
        joined = ("; " if ";" in mitigation else ", ").join(part.title for part in risk.mitigations)
        assert joined == mitigation


def test_sections_of_the_prose_document_count():
    paths = [risk.path[0] for risk in shipped("chat_service").risks]
    counts = {name: paths.count(name) for name in dict.fromkeys(paths)}
    assert counts == {"Technical": 7, "Project": 6, "Security": 7, "Operational & Product": 3}


def test_what_stands_beside_the_risks_of_the_prose_document():
    paper = shipped("chat_service")
    assert (paper.shape, paper.slug, paper.title) == ("prose", "chat-service", "Risk Analysis")
    assert (paper.overview or "").startswith("This risk analysis focuses on the MVP customer service chatbot (React")
    assert paper.scales == (("Probability", ("Low", "Medium", "High")), ("Impact", ("Low", "Medium", "High")))
    assert paper.cadence == (
        "Review risks weekly during MVP build.\nReassess before pilot and again before general availability."
    )
    assert paper.every_days == (("build", "7"),)
    assert paper.gates == (PaperGate("Pilot"), PaperGate("General availability"))
    areas = {
        "Engineering": ["API reliability", "integrations", "observability", "dependency management"],
        "Support Ops": ["escalation workflow", "content readiness", "agent feedback loop"],
        "Security/Privacy": ["PII handling", "access controls", "retention policy"],
    }
    assert paper.ownership == tuple(PaperProvision(group, text) for group in areas for text in areas[group])
    assert paper.not_understood == ()


FENCED = [
    ("Security", "Authentication & Authorization", "High", "Token Exposure",
     "API tokens or credentials exposed in logs or errors", "Secure token storage|Token rotation|Access logging"),
    ("Security", "Authentication & Authorization", "High", "Authorization Bypass",
     "Unauthorized access to protected endpoints", "Role-based access control|Request validation|Security audit logs"),
    ("Security", "Data Protection", "High", "Sensitive Data Exposure",
     "Payment or account data exposed in transit or storage", "End-to-end encryption|Data masking|Access controls"),
    ("Security", "Data Protection", "High", "Data Breach",
     "Unauthorized access to stored data", "Encryption at rest|Access monitoring|Security scanning"),
    ("Security", "API Security", "High", "Injection Attacks",
     "SQL, NoSQL, or command injection", "Input validation|Prepared statements|Escape sequences"),
    ("Security", "API Security", "High", "Rate Limiting",
     "DoS or brute force attacks", "Request throttling|IP blocking|Alert monitoring"),
    ("Operational", "System Availability", "High", "Service Outage",
     "API unavailable due to system failure", "High availability setup|Load balancing|Failover systems"),
    ("Operational", "System Availability", "High", "Performance Degradation",
     "Slow response times or timeouts", "Performance monitoring|Auto-scaling|Resource optimization"),
    ("Operational", "Data Integrity", "High", "Data Corruption",
     "Invalid or corrupted payment/payee data", "Data validation|Checksums|Backup systems"),
    ("Operational", "Data Integrity", "High", "Inconsistent State",
     "System state becomes inconsistent", "Transaction management|State verification|Recovery procedures"),
    ("Operational", "Integration Failures", "Medium", "External Service Failure",
     "Dependencies unavailable or failing", "Circuit breakers|Fallback mechanisms|Service monitoring"),
    ("Operational", "Integration Failures", "Medium", "Data Synchronization",
     "Data sync issues between systems", "Consistency checks|Retry mechanisms|Error handling"),
    ("Compliance", "Regulatory Compliance", "High", "Data Privacy",
     "Non-compliance with privacy regulations", "Privacy controls|Data governance|Audit trails"),
    ("Compliance", "Regulatory Compliance", "High", "Financial Regulations",
     "Non-compliance with financial rules", "Compliance monitoring|Regular audits|Policy enforcement"),
    ("Compliance", "Audit Requirements", "Medium", "Audit Trail Gaps",
     "Missing or incomplete audit records", "Comprehensive logging|Audit verification|Data retention"),
    ("Compliance", "Audit Requirements", "Medium", "Reporting Compliance",
     "Inadequate regulatory reporting", "Automated reports|Data validation|Report verification"),
    ("Business", "Process Integrity", "High", "Payment Errors",
     "Incorrect payment processing", "Payment validation|Amount verification|Processing checks"),
    ("Business", "Process Integrity", "High", "Account Errors",
     "Invalid account operations", "Account validation|Balance checks|Operation logging"),
    ("Business", "Customer Impact", "Medium", "Service Quality",
     "Poor user experience or service issues", "Performance monitoring|User feedback|Service improvements"),
    ("Business", "Customer Impact", "Medium", "Data Accuracy",
     "Incorrect customer or transaction data", "Data validation|Quality checks|Error correction"),
]  # fmt: skip


def test_every_risk_of_the_fenced_document_arrives():
    found = [
        (*risk.path, risk.score().level, risk.title, risk.description, "|".join(m.title for m in risk.mitigations))
        for risk in shipped("payment_api").risks
    ]
    assert found == FENCED


def grouped(provisions: tuple[PaperProvision, ...]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for item in provisions:
        groups.setdefault(item.group, []).append(item.text)
    return groups


def test_mechanisms_procedures_and_actions_of_the_fenced_document_arrive():
    paper = shipped("payment_api")
    assert grouped(paper.detection) == {
        "security": ["Intrusion detection", "Anomaly detection", "Access monitoring"],
        "operational": ["Performance metrics", "Error rates", "System health"],
        "compliance": ["Policy violations", "Audit failures", "Reporting issues"],
    }
    assert grouped(paper.procedures) == {
        "incident_response": ["Initial assessment", "Containment", "Resolution"],
        "communication": ["Stakeholder notification", "Status updates", "Resolution confirmation"],
    }
    assert [(action.horizon, action.priority, action.title) for action in paper.actions] == [
        ("immediate", "high_priority", "Security hardening"),
        ("immediate", "high_priority", "Performance optimization"),
        ("immediate", "high_priority", "Compliance updates"),
        ("immediate", "medium_priority", "Documentation updates"),
        ("immediate", "medium_priority", "Process improvements"),
        ("immediate", "medium_priority", "Training programs"),
        ("long_term", "strategic", "Architecture review"),
        ("long_term", "strategic", "Technology updates"),
        ("long_term", "strategic", "Process optimization"),
        ("long_term", "maintenance", "Regular audits"),
        ("long_term", "maintenance", "System updates"),
        ("long_term", "maintenance", "Security reviews"),
    ]


def test_the_head_of_the_fenced_document_arrives():
    paper = shipped("payment_api")
    assert (paper.shape, paper.slug, paper.title) == ("fenced", "payment-api", "CBP API Risk Assessment")
    assert (paper.project, paper.status, paper.created) == ("cbp.api", "in_progress", "2025-01-02T21:05:18-07:00")
    assert (paper.overview or "").startswith("This document provides a comprehensive risk assessment of the CBP API")
    assert paper.references == (
        "domain_models.md",
        "business_constraints.md",
        "integration_patterns.md",
        "API Specification: `api.json`",
        "Implementation: `cbp.api/`",
        "Integration Patterns: See `integration_patterns.md`",
        "Business Constraints: See `business_constraints.md`",
    )
    assert paper.not_understood == ()


@pytest.mark.parametrize("name", ["chat_service", "payment_api"])
def test_a_paper_survives_being_kept_as_json(name):
    paper = shipped(name)
    assert from_json(paper.as_json()) == paper


ODD = """---
type: risk_assessment
mood: sunny
created_date: soon
---
# Odd

Scales used:
- **Probability:** Low

## Things

A paragraph that belongs to nothing.

1. **Known**
   - Probability: Low

     A second paragraph.
   - Colour: red
   - Status: weird
   - Mitigation: one
     - two
       - three
2. Plain words

```yaml
risks:
  - {name: Flow, mood: bad, mitigation: [a, {nothing: here}]}
  - description: nameless
  - name: Twice
    status: open
    status: closed
# a comment
```

```json
{"risks": []}
```

## Empty
"""


def test_what_is_not_understood_is_listed_with_its_line():
    paper = read_markdown(ODD)
    listed = {item.line: item.why for item in paper.not_understood}
    lines = ODD.split("\n")
    assert {line: lines[line - 1].strip() for line in listed} == {item.line: item.text for item in paper.not_understood}
    assert {lines[line - 1].strip(): why for line, why in listed.items()} == {
        "mood: sunny": "not known here",
        "created_date: soon": "not a date such as 2026-01-31",
        "Scales used:": "",
        "- **Probability:** Low": "",
        "A paragraph that belongs to nothing.": "",
        "A second paragraph.": "",
        "- Colour: red": "",
        "- Status: weird": "not one of open, treated, accepted, closed",
        "- three": "",
        "- {name: Flow, mood: bad, mitigation: [a, {nothing: here}]}": "not known here",
        "- description: nameless": "not known here",
        "status: closed": "it is there twice",
        "# a comment": "",
        "```json": "",
        '{"risks": []}': "",
        "```": "",
        "## Empty": "",
    }
    assert [risk.title for risk in paper.risks] == ["Known", "Plain words", "Flow", "Twice"]
    assert [part.title for part in paper.risks[0].mitigations] == ["one", "two"]


def test_a_title_that_is_too_long_stands_whole_in_the_description():
    words = "word " * 60
    risk = read("long.md", f"1. {words}\n   - Impact: High\n".encode()).risks[0]
    assert len(risk.title) == 200
    assert risk.description == words.strip()


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.sampled_from("#-*1. \n:`yaml{}[]abAB\t&!|>\"'"), max_size=200))
def test_no_text_breaks_the_reader_and_every_line_is_read_or_listed(text):
    try:
        paper = read_markdown(text)
    except BadPaper:
        return
    for item in paper.not_understood:
        assert text.split("\n")[item.line - 1].strip().startswith(item.text[:1])


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.sampled_from("-: \n{}[]ab'\"|>?,\t"), max_size=120))
def test_no_yaml_breaks_the_reader(text):
    try:
        read_markdown(f"```yaml\nrisks:\n  - name: One\n{text}\n```\n")
    except BadPaper:
        return
