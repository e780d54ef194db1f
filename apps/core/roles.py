"""Roles and what each may do: the one table.

Roles are Django groups. After each migration, and by ``manage.py sync_roles``, the groups get exactly the permissions
written here, so a change made by hand does not last. A permission is named ``app.codename``; a ``*`` stands for any
text. Which rows a permission reaches is decided by scope, see ``apps.core.scope``; ``core.work_in_scope`` in this table
reaches them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from django.apps import AppConfig, apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.db.models import QuerySet

from apps.core.models import User


class Role(StrEnum):
    """Names of the groups."""

    SUPPORT_AGENT = "Support Agent"
    TEAM_LEAD = "Team Lead"
    SUPPORT_MANAGER = "Support Manager"
    SUPPORT_DIRECTOR = "Support Director"
    RISK_MANAGER = "Risk Manager"
    OPERATOR = "Operator"
    CONTENT_OWNER = "Content Owner"
    AUDITOR = "Auditor"
    ADMINISTRATOR = "Administrator"


_ALL_SCOPES = frozenset({"core.work_in_scope"})
_SEE_ORDERS = frozenset(
    f"orders.view_{model}"
    for model in (
        "customer", "dispute", "fulfillment", "fulfillmentevent", "order", "orderline", "product",
        "refund", "refundline", "riskassessment", "store", "transaction",
    )
)  # fmt: skip
_SEE_CARDS = frozenset({"actions.view_actioncard", "actions.view_cardevent", "actions.view_execution"})
_SEE_SUBSCRIPTIONS = frozenset(
    f"subscriptions.view_{model}"
    for model in (
        "accountbalance", "approval", "levelcount", "paymentretry", "recalculationrun", "renewalattempt",
        "renewalprediction", "riskscore", "riskscorehistory", "subscription",
    )
)  # fmt: skip
_KEEP_SUBSCRIPTIONS = frozenset(
    {
        "subscriptions.add_renewalattempt", "subscriptions.add_approval", "subscriptions.change_approval",
        "subscriptions.add_accountbalance", "subscriptions.change_accountbalance", "subscriptions.change_riskscore",
        "subscriptions.change_paymentretry",
    }
)  # fmt: skip
_SEE_FACTORS = frozenset(
    {"subscriptions.view_factorversion", "subscriptions.view_retrypolicyversion", "subscriptions.view_renewalmodel"}
)
_RAISE_FLAGS = frozenset({"escalation.view_riskflag", "escalation.add_riskflag"})
_SEE_ESCALATION = frozenset(
    f"escalation.view_{model}"
    for model in (
        "calendar", "calendarday", "cannedreply", "category", "cluster", "completion", "course", "document",
        "documentversion", "member", "openhours", "proposal", "review", "team", "ticket",
    )
)  # fmt: skip
_WORK_TICKETS = _SEE_ESCALATION | {"escalation.add_ticket", "escalation.work_ticket"}
_LEAD_ESCALATION = frozenset(
    {
        "escalation.change_riskflag", "escalation.decide_proposal", "escalation.change_cluster", "escalation.change_review",
        "escalation.add_completion", "escalation.view_phrase", "escalation.view_indicatorversion",
        "escalation.add_cannedreply",
        "escalation.change_cannedreply", "escalation.delete_cannedreply",
    }
)  # fmt: skip
_SET_UP_ESCALATION = (
    frozenset(
        f"escalation.{verb}_{name}" for verb in ("add", "change") for name in ("calendar", "category", "course", "team")
    )
    | frozenset(
        f"escalation.{verb}_{name}"
        for verb in ("add", "change", "delete")
        for name in ("calendarday", "member", "openhours")
    )
    | {"escalation.add_documentversion", "escalation.view_endpoint", "escalation.view_outgoingnews"}
    | {"escalation.change_outgoingnews"}
)
_SEE_REGISTER = frozenset(
    f"register.view_{model}"
    for model in (
        "acceptance", "assessmentversion", "attestation", "category", "checkresult", "checkversion",
        "communicationtemplate", "control", "incident", "incidentevent", "matrix", "matrixversion", "mitigation",
        "postincidentreview", "proposedchange", "provision", "rating", "registerreview", "reviewgate", "reviewpoint",
        "risk", "riskassessment", "risklink",
    )
)  # fmt: skip
# Which risks, mitigations and controls these reach is decided by who owns them, see apps.register.rights.
_KEEP_OWN_RISKS = _SEE_REGISTER | {
    "register.change_risk", "register.add_rating", "register.add_risklink", "register.delete_risklink",
    "register.add_acceptance", "register.add_mitigation", "register.change_mitigation", "register.add_attestation",
    "register.change_registerreview",
}  # fmt: skip
_HANDLE_INCIDENTS = frozenset(
    {
        "register.add_incident", "register.change_incident", "register.add_incidentevent",
        "register.add_postincidentreview", "register.add_proposedchange",
    }
)  # fmt: skip
_KEEP_REGISTER = frozenset(
    {
        "register.view_*", "register.add_*", "register.change_*", "register.delete_risklink", "register.edit_any_risk",
        "register.decide_acceptance", "register.approve_riskassessment",
    }
)  # fmt: skip
_SEE_KNOWLEDGE = frozenset(
    f"knowledge.view_{model}"
    for model in (
        "answersettings", "article", "articlefeedback", "articleimage", "articleversion", "askedquestion", "category",
        "gap", "question", "slugredirect", "synonym", "versioncomment",
    )
)  # fmt: skip
# Which articles these reach is decided by who owns them, see apps.knowledge.rights.
_WRITE_ARTICLES = _SEE_KNOWLEDGE | {
    "knowledge.add_article", "knowledge.change_article", "knowledge.review_article", "knowledge.publish_article",
    "knowledge.add_articleimage", "knowledge.change_gap", "knowledge.add_synonym", "knowledge.change_synonym",
    "knowledge.delete_synonym",
}  # fmt: skip
_KEEP_KNOWLEDGE = _WRITE_ARTICLES | {
    "knowledge.edit_any_article", "knowledge.add_category", "knowledge.change_category", "knowledge.add_answersettings",
}  # fmt: skip
_SEE_CHAT = frozenset(
    f"chat.view_{model}"
    for model in (
        "botturn", "chatpolicyversion", "chatsite", "conversation", "event", "handoff", "handoffrating", "rating", "reading", "upload",
        "visitor",
    )
)  # fmt: skip
_CHAT = _SEE_CHAT | {"chat.chat_with_customer", "chat.add_handoffrating", "chat.change_handoffrating"}
_KEEP_CHAT = frozenset(
    {"chat.add_chatsite", "chat.change_chatsite", "chat.erase_customer", "chat.add_chatpolicyversion"}
)
_DECIDE_CARDS = _SEE_CARDS | {"actions.decide_actioncard", "actions.rollback_actioncard"}
_SEE_RULES = frozenset({"actions.view_ruleversion", "actions.view_rulerun"})

_AGENT = _SEE_KNOWLEDGE | _SEE_ORDERS | _SEE_SUBSCRIPTIONS | _SEE_CARDS | _RAISE_FLAGS | _WORK_TICKETS | _CHAT
_LEAD = _AGENT | _LEAD_ESCALATION | _KEEP_OWN_RISKS
_MANAGER = (
    _LEAD
    | _DECIDE_CARDS
    | _SEE_RULES
    | _KEEP_SUBSCRIPTIONS
    | _SEE_FACTORS
    | _SET_UP_ESCALATION
    | _HANDLE_INCIDENTS
    | _KEEP_KNOWLEDGE
    | _KEEP_CHAT
)

ROLE_PERMISSIONS: Mapping[Role, frozenset[str]] = {
    Role.SUPPORT_AGENT: _AGENT,
    Role.TEAM_LEAD: _LEAD,
    Role.SUPPORT_MANAGER: _MANAGER,
    Role.SUPPORT_DIRECTOR: _MANAGER | _ALL_SCOPES | {"core.view_decision", "escalation.approve_documentversion"},
    Role.RISK_MANAGER: _MANAGER
    | _ALL_SCOPES
    | _KEEP_REGISTER
    | {"core.view_decision", "actions.add_ruleversion", "actions.change_ruleversion"}
    | {"subscriptions.add_factorversion", "subscriptions.add_retrypolicyversion"}
    | {"escalation.approve_documentversion", "escalation.add_phrase", "escalation.change_phrase"}
    | {"escalation.add_indicatorversion"},
    Role.OPERATOR: _SEE_ORDERS
    | _SEE_SUBSCRIPTIONS
    | _KEEP_SUBSCRIPTIONS
    | _SEE_FACTORS
    | _DECIDE_CARDS
    | _SEE_RULES
    | _RAISE_FLAGS,
    Role.CONTENT_OWNER: _RAISE_FLAGS | _WRITE_ARTICLES,
    Role.AUDITOR: _ALL_SCOPES | {"*.view_*"},
    Role.ADMINISTRATOR: frozenset({"*"}),
}


def resolve(names: Iterable[str], known: Mapping[str, int]) -> set[int]:
    """The ids of the permissions that names and patterns stand for.

    Raises:
        ImproperlyConfigured: if one stands for nothing, so that a misspelt permission is never silently not granted.
    """
    found: set[int] = set()
    for name in names:
        matches = {pk for label, pk in known.items() if label == name or ("*" in name and fnmatchcase(label, name))}
        if not matches:
            raise ImproperlyConfigured(f"The table of roles names {name!r}, but there is no such permission.")
        found |= matches
    return found


@transaction.atomic
def sync_roles(table: Mapping[Role, frozenset[str]] = ROLE_PERMISSIONS) -> dict[Role, int]:
    """Give each role's group exactly the permissions of the table.

    Returns:
        How many permissions each role has.

    Raises:
        ImproperlyConfigured: if the table names an unknown permission.
    """
    labels = Permission.objects.values_list("content_type__app_label", "codename", "pk")
    known = {f"{app}.{codename}": pk for app, codename, pk in labels}
    counts = {}
    for role, names in table.items():
        wanted = resolve(names, known)
        group, _ = Group.objects.get_or_create(name=role.value)
        group.permissions.set(wanted)
        counts[role] = len(wanted)
    return counts


def sync_after_migrate(sender: AppConfig, **_: Any) -> None:
    """Synchronise once per migration, when the last app is done; permissions of its models may not exist before.

    A migration to a state without the permission table has nothing to synchronise.
    """
    with_models = [config for config in apps.get_app_configs() if config.models_module]
    if sender is not with_models[-1] or Permission._meta.db_table not in connection.introspection.table_names():
        return
    for config in with_models:
        create_permissions(config, verbosity=0)
    sync_roles()


def people_with(*roles: Role) -> QuerySet[User]:
    """Active people who hold one of the roles."""
    return User.objects.filter(is_active=True, groups__name__in=[role.value for role in roles]).distinct()
