"""Who may open what: every page of the admin for every role, and every address of the site for strangers.

What a role may do is taken from the table of roles. This file adds which of Django's four verbs the pages of a model
offer to anybody at all, and what each page of our own asks for; a page that is named nowhere fails a test.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db.models import Model
from django.http import HttpResponse
from django.test import Client
from django.urls import NoReverseMatch, URLPattern, get_resolver, reverse
from django.urls import resolve as resolve_address

from apps.core.models import Scope, User
from apps.core.roles import ROLE_PERMISSIONS, Role, resolve
from apps.register.models import Control, Mitigation, Risk, RiskAssessment
from tests.actions.factories import CardFactory
from tests.core.factories import ScopeFactory, UserFactory, person
from tests.core.rows import ROWS
from tests.subscriptions.factories import ApprovalFactory

pytestmark = pytest.mark.django_db

VERBS = ("view", "add", "change", "delete")
# Django's own pages of a model, and the verb that each needs.
STOCK = {"changelist": "view", "history": "view", "change": "view", "add": "add", "delete": "delete"}

# Which verbs the pages of a model offer to those who hold the permission. Everything else is refused to everybody.
OFFERED: dict[str, frozenset[str]] = {
    "core.user": frozenset(VERBS),
    "core.scope": frozenset(VERBS),
    "core.apitoken": frozenset({"view", "delete"}),
    "chat.chatsite": frozenset({"view", "add", "change"}),
    "orders.store": frozenset({"view", "add", "change"}),
    "subscriptions.subscription": frozenset({"view", "add"}),
    "subscriptions.retrypolicyversion": frozenset({"view", "add"}),
    "subscriptions.paymentprovider": frozenset({"view", "add", "change"}),
    "escalation.cannedreply": frozenset(VERBS),
    "register.category": frozenset({"view", "add", "change"}),
    "knowledge.category": frozenset({"view", "add", "change"}),
    "knowledge.synonym": frozenset(VERBS),
    "register.communicationtemplate": frozenset({"view", "add", "change"}),
    **{
        f"escalation.{name}": frozenset({"view", "add", "change"})
        for name in ("calendar", "category", "course", "endpoint", "phrase", "team")
    },
}
OF_A_SUBSCRIPTION = {
    "subscriptions.renewalattempt",
    "subscriptions.approval",
    "subscriptions.accountbalance",
    "subscriptions.riskscore",
    "subscriptions.riskscorehistory",
    "subscriptions.paymentretry",
    "subscriptions.renewalprediction",
}
OF_A_STORE = {
    "orders.customer",
    "orders.product",
    "orders.order",
    "orders.fulfillment",
    "orders.refund",
    "orders.transaction",
    "orders.dispute",
    "orders.webhookdelivery",
    "orders.reconciliationrun",
    "orders.importrun",
    "orders.datarequest",
}
OF_KNOWLEDGE = {
    "knowledge.article",
    "knowledge.articleversion",
    "knowledge.articlefeedback",
    "knowledge.askedquestion",
    "knowledge.gap",
}
READ_ONLY = (
    OF_A_STORE
    | OF_A_SUBSCRIPTION
    | OF_KNOWLEDGE
    | {
        "knowledge.answersettings",
        "chat.chatpolicyversion",
        "chat.visitor",
        "subscriptions.levelcount",
        "subscriptions.recalculationrun",
        "subscriptions.factorversion",
        "subscriptions.renewalmodel",
        "auth.group",
        "core.decision",
        "core.delivery",
        "auditlog.logentry",
        "django_celery_beat.periodictask",
        "escalation.riskflag",
        "escalation.ticket",
        "escalation.review",
        "escalation.proposal",
        "escalation.cluster",
        "escalation.indicatorversion",
        "escalation.document",
        "escalation.outgoingnews",
        "register.risk",
        "register.riskassessment",
        "register.mitigation",
        "register.control",
        "register.checkversion",
        "register.registerreview",
        "register.incident",
        "register.riskimport",
        "register.matrix",
        "actions.actioncard",
        "actions.execution",
        "actions.ruleversion",
        "actions.rulerun",
    }
)
OFFERED |= {label: frozenset({"view"}) for label in READ_ONLY}

# Pages besides the stock five: the permissions that each asks for, and the method that it answers.
ASKS: dict[str, tuple[tuple[str, ...], str]] = {
    "auth_user_password_change": (("core.change_user",), "get"),
    "actions_actioncard_approve": (("actions.view_actioncard", "actions.decide_actioncard"), "get"),
    "actions_actioncard_retry": (("actions.view_actioncard", "actions.decide_actioncard"), "get"),
    "actions_actioncard_dismiss": (("actions.view_actioncard", "actions.decide_actioncard"), "get"),
    "actions_actioncard_escalate": (
        ("actions.view_actioncard", "actions.decide_actioncard", "escalation.add_riskflag"),
        "get",
    ),
    "actions_actioncard_note": (("actions.view_actioncard", "actions.decide_actioncard"), "get"),
    "actions_actioncard_roll_back": (("actions.view_actioncard", "actions.rollback_actioncard"), "get"),
    "actions_actioncard_bulk_dismiss": (("actions.view_actioncard", "actions.decide_actioncard"), "post"),
    "actions_actioncard_save_view": (("actions.view_actioncard",), "post"),
    "actions_actioncard_delete_view": (("actions.view_actioncard",), "post"),
    "actions_actioncard_dashboard": (("actions.view_actioncard",), "get"),
    "actions_rule": (("actions.view_ruleversion",), "get"),
    "chat_policy": (("chat.view_chatpolicyversion",), "get"),
    "chat_chatpolicyversion_figures": (("chat.view_rating",), "get"),
    "chat_visitor_export": (("chat.view_visitor", "chat.view_conversation", "chat.erase_customer"), "post"),
    "chat_visitor_erase": (("chat.view_visitor", "chat.view_conversation", "chat.erase_customer"), "get"),
    "escalation_cluster_merge": (("escalation.view_cluster", "escalation.change_cluster"), "get"),
    "escalation_cluster_split": (("escalation.view_cluster", "escalation.change_cluster"), "get"),
    "escalation_indicator": (("escalation.view_indicatorversion",), "get"),
    "escalation_outgoingnews_again": (("escalation.view_outgoingnews", "escalation.change_outgoingnews"), "post"),
    "escalation_riskflag_board": (("escalation.view_riskflag",), "get"),
    "escalation_riskflag_dashboard": (("escalation.view_riskflag",), "get"),
    "escalation_riskflag_raise": (("escalation.view_riskflag", "escalation.add_riskflag"), "get"),
    "escalation_riskflag_move": (("escalation.view_riskflag", "escalation.change_riskflag"), "get"),
    "escalation_riskflag_tell": (("escalation.view_riskflag", "escalation.change_riskflag"), "get"),
    "escalation_riskflag_level": (("escalation.view_riskflag", "escalation.change_riskflag"), "get"),
    "escalation_riskflag_acknowledge": (("escalation.view_riskflag", "escalation.change_riskflag"), "post"),
    "escalation_riskflag_note": (("escalation.view_riskflag", "escalation.add_riskflag"), "get"),
    "escalation_riskflag_edit": (("escalation.view_riskflag", "escalation.change_riskflag"), "get"),
    "escalation_riskflag_feedback": (("escalation.view_riskflag", "escalation.add_riskflag"), "get"),
    "subscriptions_recalculate": (("subscriptions.view_subscription", "subscriptions.change_riskscore"), "post"),
    "subscriptions_record": (("subscriptions.view_subscription", "subscriptions.add_renewalattempt"), "get"),
    "subscriptions_revoke": (("subscriptions.view_subscription", "subscriptions.change_approval"), "post"),
    "subscriptions_recalculate_all": (("subscriptions.add_recalculationrun",), "post"),
    "subscriptions_factors": (("subscriptions.view_factorversion",), "get"),
}
_TICKETS = ("escalation.view_ticket", "escalation.work_ticket")
_REVIEWS = ("escalation.view_review", "escalation.change_review")
ASKS |= {
    f"escalation_ticket_{name}": (_TICKETS, "get")
    for name in ("wait", "resume", "resolve", "reopen", "close", "assign", "merge", "note", "edit")
}
ASKS |= {
    "escalation_ticket_reply": (_TICKETS, "post"),
    "escalation_review_begin": (_REVIEWS, "post"),
    "escalation_review_decide": (_REVIEWS, "get"),
    "escalation_review_complete": (_REVIEWS, "get"),
    "escalation_review_done": (_REVIEWS, "post"),
    "escalation_review_minutes": (("escalation.view_review",), "get"),
    "escalation_calendar_propose": (("escalation.change_calendar",), "get"),
    "escalation_calendar_activate": (("escalation.change_calendar",), "get"),
    "escalation_course_standing": (("escalation.view_course",), "get"),
    "escalation_course_record": (("escalation.view_course", "escalation.add_completion"), "get"),
    "escalation_document_version": (("escalation.view_document",), "get"),
    "escalation_document_draft": (("escalation.view_document", "escalation.add_documentversion"), "get"),
    "escalation_document_reviewed": (("escalation.view_document", "escalation.approve_documentversion"), "post"),
    "escalation_document_approve": (("escalation.view_document", "escalation.approve_documentversion"), "get"),
    "escalation_proposal_confirm": (("escalation.view_proposal", "escalation.decide_proposal"), "get"),
    "escalation_proposal_reject": (("escalation.view_proposal", "escalation.decide_proposal"), "get"),
    "escalation_ticket_new": (("escalation.view_ticket", "escalation.add_ticket"), "get"),
}
# Whose risk, mitigation or control it is decides, too; see the tests of the register's desk. Here the rows are the person's.
_RISK, _INCIDENT = "register.view_risk", "register.view_incident"
_IMPORT = ("register.view_riskimport", "register.add_riskimport", "register.add_risk", "register.edit_any_risk")
ASKS |= {
    **{
        f"register_risk_{name}": ((_RISK, "register.change_risk"), "get")
        for name in ("edit", "rate", "link", "close", "reopen")
    },
    "register_risk_heat": ((_RISK,), "get"),
    "register_risk_trail": ((_RISK,), "get"),
    "register_risk_new": ((_RISK, "register.add_risk"), "get"),
    "register_risk_request": ((_RISK, "register.add_acceptance"), "get"),
    "register_risk_approve": ((_RISK, "register.decide_acceptance"), "get"),
    "register_risk_reject": ((_RISK, "register.decide_acceptance"), "get"),
    "register_risk_withdraw": ((_RISK, "register.view_acceptance"), "get"),
    "register_risk_mitigate": ((_RISK, "register.add_mitigation"), "get"),
    "register_mitigation_edit": (("register.view_mitigation", "register.change_mitigation"), "get"),
    "register_mitigation_controls": (("register.view_mitigation", "register.change_mitigation"), "get"),
    "register_control_evidence": (("register.view_control",), "get"),
    "register_control_new": (("register.view_control", "register.add_control"), "get"),
    "register_control_edit": (("register.view_control", "register.change_control"), "get"),
    "register_control_attest": (("register.view_control", "register.add_attestation"), "get"),
    "register_checkversion_page": (("register.view_checkversion",), "get"),
    "register_checkversion_run": (("register.view_checkversion", "register.add_checkresult"), "post"),
    "register_checkversion_run_all": (("register.view_checkversion", "register.add_checkresult"), "post"),
    "register_riskassessment_changes": (("register.view_riskassessment",), "get"),
    "register_riskassessment_report": (("register.view_riskassessment",), "get"),
    "register_riskassessment_version": (("register.view_riskassessment",), "get"),
    "register_riskassessment_edit": (("register.view_riskassessment", "register.change_riskassessment"), "get"),
    "register_riskassessment_submit": (("register.view_riskassessment", "register.add_assessmentversion"), "get"),
    "register_riskassessment_approve": (("register.view_riskassessment", "register.approve_riskassessment"), "get"),
    "register_registerreview_begin": (("register.view_registerreview", "register.change_registerreview"), "post"),
    "register_registerreview_decide": (("register.view_registerreview", "register.change_registerreview"), "get"),
    "register_registerreview_complete": (("register.view_registerreview", "register.change_registerreview"), "get"),
    "register_registerreview_minutes": (("register.view_registerreview",), "get"),
    "register_incident_open": ((_INCIDENT, "register.add_incident"), "get"),
    **{
        f"register_incident_{name}": ((_INCIDENT, "register.change_incident"), "get")
        for name in ("advance", "entry", "edit", "message", "review", "propose", "close")
    },
    "register_incident_decide": ((_INCIDENT, "register.change_proposedchange"), "get"),
    "register_riskassessment_export": (("register.view_riskassessment",), "get"),
    "register_riskimport_upload": (_IMPORT, "get"),
    "register_riskimport_mapping": (_IMPORT, "get"),
    "register_riskimport_apply": (_IMPORT, "post"),
    "register_riskimport_discard": (_IMPORT, "post"),
    "register_matrix_version": (("register.view_matrix", "register.add_matrixversion"), "get"),
}
# Whose article it is decides, too; see the tests of its pages. Here it is the person's, and the version somebody else's.
_ARTICLE = "knowledge.view_article"
ASKS |= {
    **{
        f"knowledge_article_{name}": ((_ARTICLE, "knowledge.change_article"), "get")
        for name in ("details", "reassign", "confirm", "draft", "edit", "submit", "withdraw", "discard")
    },
    **{
        f"knowledge_article_{name}": ((_ARTICLE, "knowledge.publish_article"), "get")
        for name in ("archive", "restore", "publish", "schedule")
    },
    **{
        f"knowledge_article_{name}": ((_ARTICLE, "knowledge.review_article"), "get")
        for name in ("approve", "send_back", "reject")
    },
    "knowledge_article_new": ((_ARTICLE, "knowledge.add_article"), "get"),
    "knowledge_article_preview": ((_ARTICLE, "knowledge.change_article"), "post"),
    "knowledge_article_image": ((_ARTICLE, "knowledge.change_article", "knowledge.add_articleimage"), "post"),
    "knowledge_article_version": ((_ARTICLE,), "get"),
    "knowledge_article_comment": ((_ARTICLE,), "post"),
    "knowledge_askedquestion_try": (("knowledge.view_askedquestion",), "get"),
    "knowledge_gap_draft": (("knowledge.view_gap", "knowledge.add_article"), "get"),
    "knowledge_answersettings_choose": (("knowledge.view_answersettings", "knowledge.add_answersettings"), "get"),
}
# Pages below a version of an article.
_OF_A_VERSION = (
    "version", "edit", "submit", "withdraw", "discard", "publish", "schedule", "approve", "send_back", "reject", "comment",
)  # fmt: skip
# For everybody on the staff.
OPEN_TO_STAFF = {
    "index", "login", "logout", "password_change", "password_change_done", "autocomplete", "jsi18n", "view_on_site",
    "app_list",
}  # fmt: skip

# Models whose rows belong to a scope and are listed by Django's own page; the trend and the factors have tests of theirs.
SCOPED = (
    {
        "core.scope",
        "escalation.riskflag",
        "escalation.ticket",
        "escalation.proposal",
        "escalation.cluster",
        "register.risk",
        "register.riskassessment",
        "register.mitigation",
        "register.registerreview",
        "register.incident",
        "actions.actioncard",
        "actions.execution",
        "orders.store",
    }
    | OF_A_STORE
    | OF_A_SUBSCRIPTION
    | OF_KNOWLEDGE
    | {
        "subscriptions.subscription",
        "subscriptions.retrypolicyversion",
    }
)

# Something in many forms; a form that was not offered must not take it.
FORGED = {"name": "forged", "status": "forged", "level": "1", "enabled": "on", "action": "forged", "reason": "forged"}
FILL = re.compile(r"\(\?P<\w+>[^()]*\)|<[^>]*>")
NO_ONE = "00000000-0000-0000-0000-000000000000"
UUIDS = re.compile(r"<uuid:[^>]*>")
# Addresses of the pages whose routes are harder to guess.
EXAMPLES = {"webhook_topic": "/webhooks/orders/create", "admin:app_list": "/admin/core/", "admin:None": "/admin/x"}
_ID = "00000000-0000-4000-8000-000000000001"
EXAMPLES |= {
    "risk_score": f"/api/risk-score/{_ID}",
    "risk_calculate": f"/api/risk-score/{_ID}/calculate",
    "risk_history": f"/api/risk-score/{_ID}/history",
    "renewal_attempts": f"/api/subscriptions/{_ID}/attempts",
    "approvals": f"/api/subscriptions/{_ID}/approvals",
    "approval_revoke": f"/api/subscriptions/{_ID}/approvals/{_ID}/revoke",
    "balance": f"/api/subscriptions/{_ID}/balance",
    "api_token": f"/api/tokens/{_ID}",
}

# What a stranger gets an answer from, and why.
PUBLIC = {
    "favicon",  # leads to an image
    "root",  # leads to the home page, which asks for a login
    "health_live",
    "health_ready",
    "metrics",  # guarded by a token or the address, see test_metrics
    "admin:login",
    "admin:logout",
    # The help centre, its articles for everybody, and what programs may ask of them; throttled.
    "help_home",
    "help_search",
    "help_suggest",
    "help_sitemap",
    "robots",
    "knowledge_search",
    "knowledge_answer",
    "chat_demo",  # an invented shop's page with the chat, where the demo is
}


def label(model: type[Model]) -> str:
    return str(model._meta.label_lower)


def granted(role: Role) -> set[str]:
    """The permissions of a role, by name, as the table of roles says."""
    known = {
        f"{app}.{codename}": pk
        for app, codename, pk in Permission.objects.values_list("content_type__app_label", "codename", "pk")
    }
    ids = resolve(ROLE_PERMISSIONS[role], known)
    return {name for name, pk in known.items() if pk in ids}


def allowed(model: type[Model], verb: str, held: set[str]) -> bool:
    """Whether the table and :data:`OFFERED` together allow a verb. Who may change may also look."""
    app, name = label(model).split(".")
    offered = OFFERED[label(model)] & {word for word in VERBS if f"{app}.{word}_{name}" in held}
    return verb in offered or (verb == "view" and "change" in offered)


def registered() -> list[type[Model]]:
    return sorted(admin.site._registry, key=label)


def pages(patterns: list, prefix: str = "", namespace: str = "") -> Iterator[tuple[str, str]]:
    """Every address of the site: its route and its full name."""
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield route, f"{namespace}:{pattern.name}" if namespace else str(pattern.name)
        else:
            inner = ":".join(part for part in (namespace, pattern.namespace) if part)
            yield from pages(pattern.url_patterns, route, inner)


def admin_pages() -> set[str]:
    return {name.removeprefix("admin:") for _, name in pages(get_resolver().url_patterns) if name.startswith("admin:")}


def base(model: type[Model]) -> str:
    return f"{model._meta.app_label}_{model._meta.model_name}"


def test_every_admin_model_says_what_it_offers() -> None:
    assert {label(model) for model in registered()} == set(OFFERED) == set(ROWS)


def test_every_admin_page_says_what_it_asks_for() -> None:
    stock = {f"{base(model)}_{page}" for model in registered() for page in STOCK}
    unknown = admin_pages() - stock - set(ASKS) - OPEN_TO_STAFF - {"None"}  # nameless: Django's redirects
    assert unknown == set()
    assert set(ASKS) <= admin_pages()


@pytest.fixture
def store() -> Scope:
    return ScopeFactory()


def answers(client: Client, model: type[Model], pk: object) -> dict[str, int]:
    """The status of a model's stock pages, each of which answers somehow."""
    found = {}
    for page in STOCK:
        arguments = [] if page in ("changelist", "add") else [pk]
        answer = client.get(reverse(f"admin:{base(model)}_{page}", args=arguments))
        assert answer.status_code in (200, 302, 403), f"{label(model)} {page}"
        assert "/login/" not in answer.get("Location", "")
        found[page] = answer.status_code
    return found


@pytest.mark.parametrize("role", Role)
def test_stock_pages(client: Client, store: Scope, role: Role) -> None:
    made = {model: ROWS[label(model)](store).pk for model in registered()}
    client.force_login(person(role, store))
    held = granted(role)
    for model, pk in made.items():
        refused = {page for page, status in answers(client, model, pk).items() if status == 403}
        assert refused == {page for page, verb in STOCK.items() if not allowed(model, verb, held)}, label(model)


@pytest.mark.parametrize("role", Role)
def test_nothing_is_changed_or_deleted_by_a_form_that_was_not_offered(client: Client, store: Scope, role: Role) -> None:
    made = {model: ROWS[label(model)](store).pk for model in registered()}
    client.force_login(person(role, store))
    held = granted(role)
    for model, pk in made.items():
        before = model._default_manager.filter(pk=pk).values().get()
        for page, verb in (("change", "change"), ("delete", "delete"), ("add", "add")):
            if not allowed(model, verb, held):
                address = reverse(f"admin:{base(model)}_{page}", args=[] if page == "add" else [pk])
                assert client.post(address, {"post": "yes", **FORGED}).status_code in (302, 403, 405), address
        assert model._default_manager.filter(pk=pk).values().get() == before


@pytest.mark.parametrize("role", Role)
def test_pages_of_our_own(client: Client, store: Scope, role: Role) -> None:
    card, user = CardFactory(scope=store), UserFactory()
    approval = ApprovalFactory(subscription__scope=store)
    subscription = approval.subscription_id
    flag, ticket = (ROWS[f"escalation.{name}"](store).pk for name in ("riskflag", "ticket"))
    review = ROWS["escalation.review"](store)
    cluster = ROWS["escalation.cluster"](store)
    made = {name: ROWS[f"escalation.{name}"](store).pk for name in ("calendar", "document", "proposal")}
    article = ROWS["knowledge.articleversion"](store).article
    of_register = {
        label.partition(".")[2]: make(store).pk for label, make in ROWS.items() if label.startswith("register.")
    }
    somebody = ROWS["chat.visitor"](store).pk
    arguments: dict[str, list[object]] = {
        **{name: [flag] for name in ASKS if name.startswith("escalation_riskflag_")},
        **{name: [ticket] for name in ASKS if name.startswith("escalation_ticket_")},
        "escalation_riskflag_move": [flag, "close"],
        **{name: [review.pk] for name in ASKS if name.startswith("escalation_review_")},
        **{name: [made[name.split("_")[1]]] for name in ASKS if name.split("_")[1] in made},
        **{name: [of_register[name.split("_")[1]]] for name in ASKS if name.startswith("register_")},
        **{name: [article.pk] for name in ASKS if name.startswith("knowledge_article_")},
        **{f"knowledge_article_{name}": [article.pk, 1] for name in _OF_A_VERSION},
        "knowledge_gap_draft": [ROWS["knowledge.gap"](store).pk],
        "register_control_evidence": [of_register["control"], 1],
        "register_riskassessment_export": [of_register["riskassessment"], "md"],
        "register_incident_decide": [of_register["incident"], 1],
        "register_riskassessment_version": [of_register["riskassessment"], 1],
        "register_riskassessment_approve": [of_register["riskassessment"], 1],
        "register_registerreview_decide": [of_register["registerreview"], 1],
        "escalation_document_approve": [made["document"], 1],
        "escalation_document_version": [made["document"], 1],
        "escalation_review_decide": [review.pk, review.items.get().pk],
        "escalation_review_done": [review.pk, review.items.get().pk],
        "escalation_riskflag_tell": [flag, "to_risk"],
        "auth_user_password_change": [user.pk],
        "actions_rule": ["order-ageing"],
        "escalation_indicator": ["data"],
        "chat_policy": ["pilot"],
        "escalation_outgoingnews_again": [ROWS["escalation.outgoingnews"](store).pk],
        **{name: [somebody] for name in ASKS if name.startswith("chat_visitor_")},
        "register_checkversion_page": ["backup-age"],
        "register_checkversion_run": ["backup-age"],
        "escalation_cluster_merge": [cluster.pk],
        "escalation_cluster_split": [cluster.pk, cluster.members.get().pk],
        "subscriptions_recalculate": [subscription],
        "subscriptions_record": [subscription, "attempt"],
        "subscriptions_revoke": [subscription, approval.pk],
        "subscriptions_factors": [store.pk],
    }
    who = person(role, store)
    for row in (Risk, RiskAssessment, Mitigation, Control):
        row.objects.filter(pk=of_register[row._meta.model_name]).update(owner=who)
    type(article).objects.filter(pk=article.pk).update(owner=who)
    client.force_login(who)
    held = granted(role)
    for name, (permissions, method) in ASKS.items():
        try:
            address = reverse(f"admin:{name}", args=arguments.get(name, [card.pk]))
        except NoReverseMatch:
            address = reverse(f"admin:{name}")
        status = getattr(client, method)(address).status_code
        assert (status == 403) is not held.issuperset(permissions), f"{name} answers {status}"
        assert status < 500


@pytest.mark.parametrize("role", [r for r in Role if not ROLE_PERMISSIONS[r] & {"core.work_in_scope", "*"}])
def test_rows_of_other_scopes_are_not_there(client: Client, store: Scope, role: Role) -> None:
    made = {model: ROWS[label(model)](store).pk for model in registered() if label(model) in SCOPED}
    client.force_login(person(role, ScopeFactory()))
    for model, pk in made.items():
        answer = client.get(reverse(f"admin:{base(model)}_change", args=[pk]))
        assert answer.status_code in (302, 403, 404), label(model)
        listed = client.get(reverse(f"admin:{base(model)}_changelist"))
        assert listed.status_code == 403 or pk not in {row.pk for row in listed.context["cl"].result_list}


def every_page() -> list[tuple[str, str]]:
    """The name and an address of every page, with something plausible for each argument."""
    routes = pages(get_resolver().url_patterns)
    return [(name, EXAMPLES.get(name) or example(route)) for route, name in routes]


def example(route: str) -> str:
    """An address of a route; routers write theirs as regular expressions."""
    return "/" + FILL.sub("1", UUIDS.sub(NO_ONE, route)).replace("^", "").replace("$", "")


def test_the_addresses_tried_are_those_of_the_pages() -> None:
    named = [(name, address) for name, address in every_page() if not name.endswith("None")]
    assert [(resolve_address(address).view_name, address) for _, address in named] == named


def opened(answer: HttpResponse) -> bool:
    """Whether an answer gave anything away or did anything: a way to the login and a refusal do not."""
    if answer.status_code in (301, 302):
        return "/login/" not in answer["Location"] and not answer["Location"].endswith("1/")
    return answer.status_code not in (401, 403, 404, 405)


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
def test_strangers_open_public_pages_only(client: Client, method: str) -> None:
    found = {name for name, address in every_page() if opened(getattr(client, method)(address))}
    assert found <= PUBLIC


@pytest.mark.parametrize("method", ["get", "post"])
def test_people_who_are_not_staff_open_no_admin_page(client: Client, method: str) -> None:
    client.force_login(UserFactory())
    reached = {
        name for name, address in every_page() if name.startswith("admin:") and opened(getattr(client, method)(address))
    }
    assert reached <= PUBLIC


def test_people_who_left_open_nothing(client: Client) -> None:
    leaver = person(Role.ADMINISTRATOR)
    client.force_login(leaver)
    User.objects.filter(pk=leaver.pk).update(is_active=False)
    assert {name for name, address in every_page() if opened(client.get(address))} <= PUBLIC
