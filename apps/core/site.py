"""The admin site: stock, with the rail grouped by job and a home page that shows what needs the person now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib.admin.apps import AdminConfig
from django.contrib.admin.sites import AdminSite
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.module_loading import autodiscover_modules

from apps.core import home
from apps.core.people import user_of

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

WORK, RISKS, ORDERS, SUBSCRIPTIONS, SETUP, TRAIL = "Work", "Risks", "Orders", "Subscriptions", "Setup", "Trail"
KNOWLEDGE = "Knowledge"
GROUPS = (WORK, RISKS, KNOWLEDGE, ORDERS, SUBSCRIPTIONS, SETUP, TRAIL)

# Where a model's list stands in the rail: group, place in it, icon, and the words if not the model's own. A model that
# is not named here stands in Setup.
PLACES: dict[str, tuple[str, int, str, str]] = {
    "actions.actioncard": (WORK, 10, "queue", "Queue"),
    "escalation.riskflag": (WORK, 20, "flag", "Risk flags"),
    "escalation.ticket": (WORK, 25, "mail", ""),
    "escalation.review": (WORK, 28, "book", "Escalation reviews"),
    "escalation.proposal": (WORK, 19, "eye", "Proposed flags"),
    "escalation.document": (SETUP, 70, "book", "Documents"),
    "escalation.course": (SETUP, 71, "calendar", "Training"),
    "escalation.team": (SETUP, 72, "users", "Teams"),
    "escalation.category": (SETUP, 73, "bookmark", "Ticket categories"),
    "escalation.cannedreply": (SETUP, 74, "mail", "Prepared answers"),
    "escalation.calendar": (SETUP, 75, "calendar", "Calendars"),
    "escalation.phrase": (SETUP, 76, "search", "Risk phrases"),
    "escalation.indicatorversion": (SETUP, 76, "eye", "Indicators"),
    "escalation.endpoint": (SETUP, 77, "webhook", "Outgoing webhooks"),
    "escalation.outgoingnews": (TRAIL, 45, "send", "Outgoing news"),
    "escalation.cluster": (TRAIL, 46, "link", "Similar reports"),
    "chat.chatsite": (SETUP, 60, "mail", "Chat sites"),
    "chat.chatpolicyversion": (SETUP, 61, "shield", "Chat policies"),
    "chat.visitor": (TRAIL, 50, "users", "Chat visitors"),
    "register.risk": (RISKS, 10, "shield-alert", "Risk register"),
    "register.riskassessment": (RISKS, 20, "book", "Assessments"),
    "register.mitigation": (RISKS, 30, "shield", "Mitigations"),
    "register.control": (RISKS, 40, "check-circle", "Controls"),
    "register.checkversion": (RISKS, 45, "pulse", "Checks"),
    "register.registerreview": (RISKS, 50, "calendar", "Register reviews"),
    "register.incident": (RISKS, 60, "alert", "Incidents"),
    "register.riskimport": (RISKS, 70, "import", "Imports"),
    "register.matrix": (SETUP, 25, "scope", "Risk matrices"),
    "register.category": (SETUP, 26, "bookmark", "Risk categories"),
    "register.communicationtemplate": (SETUP, 27, "mail", "Incident messages"),
    "knowledge.article": (KNOWLEDGE, 10, "book", "Articles"),
    "knowledge.gap": (KNOWLEDGE, 20, "search", "Unanswered questions"),
    "knowledge.askedquestion": (KNOWLEDGE, 30, "mail", "Asked questions"),
    "knowledge.articlefeedback": (KNOWLEDGE, 40, "check-circle", "Feedback"),
    "knowledge.articleversion": (KNOWLEDGE, 50, "history", "Versions"),
    "knowledge.category": (SETUP, 80, "bookmark", "Article categories"),
    "knowledge.synonym": (SETUP, 81, "link", "Synonyms"),
    "knowledge.answersettings": (SETUP, 82, "settings", "How sure answers are"),
    "orders.order": (ORDERS, 10, "cart", ""),
    "orders.customer": (ORDERS, 20, "users", ""),
    "orders.product": (ORDERS, 30, "box", ""),
    "orders.fulfillment": (ORDERS, 40, "truck", ""),
    "orders.refund": (ORDERS, 50, "refund", ""),
    "orders.transaction": (ORDERS, 60, "card", ""),
    "orders.dispute": (ORDERS, 70, "flag", ""),
    "subscriptions.riskscore": (SUBSCRIPTIONS, 10, "shield-alert", ""),
    "subscriptions.subscription": (SUBSCRIPTIONS, 20, "retry", ""),
    "subscriptions.levelcount": (SUBSCRIPTIONS, 30, "chart", "Risk trend"),
    "subscriptions.renewalattempt": (SUBSCRIPTIONS, 40, "card", "Attempts"),
    "subscriptions.approval": (SUBSCRIPTIONS, 50, "check-circle", ""),
    "subscriptions.accountbalance": (SUBSCRIPTIONS, 60, "money", "Balances"),
    "subscriptions.renewalprediction": (SUBSCRIPTIONS, 15, "eye", "Predictions"),
    "subscriptions.paymentretry": (SUBSCRIPTIONS, 45, "retry", ""),
    "subscriptions.retrypolicyversion": (SETUP, 23, "retry", "Retry policies"),
    "subscriptions.paymentprovider": (SETUP, 24, "card", "Payment providers"),
    "subscriptions.renewalmodel": (TRAIL, 35, "chart", "Renewal models"),
    "subscriptions.factorversion": (SETUP, 22, "settings", "Risk factors"),
    "subscriptions.riskscorehistory": (TRAIL, 33, "history", "Risk changes"),
    "subscriptions.recalculationrun": (TRAIL, 34, "pulse", "Recalculations"),
    "core.apitoken": (SETUP, 62, "settings", "API tokens"),
    "orders.store": (SETUP, 10, "store", ""),
    "actions.ruleversion": (SETUP, 20, "rule", "Rules"),
    "core.user": (SETUP, 30, "user", "People"),
    "auth.group": (SETUP, 40, "key", "Roles"),
    "core.scope": (SETUP, 50, "scope", "Scopes"),
    "core.decision": (TRAIL, 10, "log", "Decision log"),
    "actions.rulerun": (TRAIL, 20, "pulse", "Runs"),
    "actions.execution": (TRAIL, 30, "send", "Executions"),
    "orders.webhookdelivery": (TRAIL, 40, "webhook", "Webhooks"),
    "orders.reconciliationrun": (TRAIL, 50, "retry", "Reconciliations"),
    "orders.importrun": (TRAIL, 60, "import", "Imports"),
    "orders.datarequest": (TRAIL, 65, "user", "Data requests"),
    "core.delivery": (TRAIL, 70, "mail", "Mails and news"),
    "auditlog.logentry": (TRAIL, 80, "history", "Changes"),
    "django_celery_beat.periodictask": (TRAIL, 90, "clock", "Schedule"),
}


@dataclass(frozen=True)
class Item:
    """One line of the rail."""

    group: str
    order: int
    icon: str
    title: str | _StrPromise
    url: str
    current: bool


class DeskSite(AdminSite):
    """The stock admin site with our home page. The rail is our own, so the stock sidebar stays off."""

    site_title = "Riskdesk"
    site_header = "Riskdesk"
    index_title = "Home"
    site_url = None
    enable_nav_sidebar = False

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """The home page; see :mod:`apps.core.home`."""
        shown = home.panels_for(user_of(request), timezone.now()) if self.has_permission(request) else []
        columns = {
            "main_panels": [pair for pair in shown if pair[0].column == "main"],
            "side_panels": [pair for pair in shown if pair[0].column == "side"],
        }
        return super().index(request, {"title": "", "subtitle": None, **columns, **(extra_context or {})})

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """The models that a person may see, by app. Both the page and its rail ask, and are given the same list."""
        if app_label is not None:
            return super().get_app_list(request, app_label)
        if not hasattr(request, "_app_list"):
            request._app_list = super().get_app_list(request)  # type: ignore[attr-defined]
        return request._app_list  # type: ignore[attr-defined]


class DeskAdminConfig(AdminConfig):
    """The admin app with our site; finds each app's ``home.py`` next to its ``admin.py``."""

    default_site = "apps.core.site.DeskSite"

    def ready(self) -> None:
        super().ready()
        autodiscover_modules("home")


def _model_items(request: HttpRequest) -> list[Item]:
    from django.contrib import admin  # the site exists only once the apps are loaded

    items = []
    for app in admin.site.get_app_list(request):
        for model in app["models"]:
            if not model.get("admin_url"):
                continue
            label = model["model"]._meta.label_lower
            group, order, icon, title = PLACES.get(label, (SETUP, 90, "dot", ""))
            url = str(model["admin_url"])
            items.append(Item(group, order, icon, title or model["name"], url, request.path.startswith(url)))
    return items


def _link_items(request: HttpRequest) -> list[Item]:
    items = []
    for link in home.registry.links.values():
        if link.permission and not request.user.has_perm(link.permission):
            continue
        url = home.address(link.url_name)
        if not url:
            continue
        items.append(Item(link.group, link.order, link.icon, link.title, url, request.path == url))
    return items


def _groups(items: list[Item], path: str) -> list[tuple[str, list[Item]]]:
    """The items under their headings. A page below two items (a list, and a link inside it) marks the nearer one."""
    best = max((item.url for item in items if item.current), key=len, default="")
    items = [Item(i.group, i.order, i.icon, i.title, i.url, i.url == best) for i in items]
    groups = []
    for name in GROUPS:
        found = sorted((item for item in items if item.group == name), key=lambda item: (item.order, str(item.title)))
        if found:
            groups.append((name, found))
    return groups


def _inbox(request: HttpRequest) -> dict[str, Any]:
    """The inbox's address and how many notifications wait in it."""
    from apps.core.models import Notification  # models exist only once the apps are loaded

    return {
        "inbox_url": home.address(home.INBOX),
        "unread": Notification.objects.filter(recipient_id=request.user.pk, read_at=None).count(),
    }


def frame_context(request: HttpRequest) -> dict[str, Any]:
    """What the rail and the top bar show this person."""
    user = request.user
    if not (user.is_active and user.is_staff):
        return {"groups": [], "has_frame": False}
    wanted = home.registry.search
    may_search = wanted is not None and (not wanted.permission or user.has_perm(wanted.permission))
    return {
        "has_frame": True,
        "groups": _groups(_model_items(request) + _link_items(request), request.path),
        "search_url": home.address(wanted.url_name) if wanted and may_search else "",
        "search_label": wanted.label if wanted else "",
        **_inbox(request),
    }
