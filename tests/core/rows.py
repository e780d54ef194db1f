"""One row of every model that has admin pages, for the tests of who may open what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from auditlog.models import LogEntry
from django.contrib.auth.models import Group
from django.db.models import Model
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from apps.actions.models import Execution, RuleRun
from apps.chat.models import ChatPolicyVersion, ChatSite
from apps.chat.policies import PILOT
from apps.core import versions
from apps.core.decisions import Entry, record, system
from apps.core.models import Delivery, Scope
from apps.core.notifications import notify
from apps.core.roles import Role
from apps.core.tokens import issue
from apps.escalation.models import (
    Calendar,
    CannedReply,
    Category,
    Cluster,
    Course,
    Document,
    Endpoint,
    OutgoingNews,
    Phrase,
    Proposal,
    Report,
    Review,
    ReviewItem,
    RiskFlag,
    Team,
    Ticket,
)
from apps.escalation.signs import indicators
from apps.escalation.thresholds import current_version
from apps.knowledge.calibration import current_settings
from apps.knowledge.models import (
    Article,
    ArticleFeedback,
    ArticleVersion,
    AskedQuestion,
    Gap,
    Synonym,
)
from apps.knowledge.models import Category as Shelf
from apps.orders.models import DataRequest, Dispute, ImportRun, ReconciliationRun, Store
from apps.register import matrices
from apps.register.checking import checks
from apps.register.models import (
    Category as RiskCategory,
)
from apps.register.models import (
    CheckVersion,
    CommunicationTemplate,
    Control,
    Incident,
    Matrix,
    Mitigation,
    RegisterReview,
    RiskAssessment,
    RiskImport,
)
from apps.register.papers.importing import preview
from apps.register.services import record_risk
from apps.subscriptions.models import (
    FactorVersion,
    LevelCount,
    PaymentProvider,
    PaymentRetry,
    RecalculationRun,
    RenewalModel,
    RenewalPrediction,
    RetryPolicyVersion,
    RiskScore,
    RiskScoreHistory,
    Subscription,
)
from tests.actions.factories import CardFactory, example_version
from tests.chat.factories import chat_site, visitor
from tests.core.factories import UserFactory
from tests.orders.factories import (
    CustomerFactory,
    FulfillmentFactory,
    OrderFactory,
    ProductFactory,
    RefundFactory,
    StoreFactory,
    TransactionFactory,
    WebhookDeliveryFactory,
)
from tests.subscriptions.factories import ApprovalFactory, BalanceFactory, RenewalAttemptFactory, SubscriptionFactory

Make = Callable[[Scope], Model]


def _decision(scope: Scope) -> Model:
    return record(Entry(scope="s", actor=system("tests"), action="a", subject="x:1"))


def _delivery(scope: Scope) -> Model:
    notify(kind="monitoring", recipients=[UserFactory()], title="t", body="b", dedupe_key="k")
    return Delivery.objects.get(channel="email")


def _change(scope: Scope) -> Model:
    scope.name += "!"
    scope.save(update_fields=["name"])
    return LogEntry.objects.latest("id")


def _periodic_task(scope: Scope) -> Model:
    every = IntervalSchedule.objects.create(every=1, period=IntervalSchedule.MINUTES)
    return PeriodicTask.objects.create(name="tests", task="tests.nothing", interval=every)


def _execution(scope: Scope) -> Model:
    return Execution.objects.create(
        card=CardFactory(scope=scope), action="note-down", requested_by=UserFactory(), created_at=timezone.now()
    )


def _run(scope: Scope) -> Model:
    now = timezone.now()
    return RuleRun.objects.create(
        rule="example", version=example_version(), trigger="schedule", status="succeeded", as_of=now, started_at=now
    )


def _risk(scope: Scope) -> Model:
    return record_risk(
        reference_source=f"tests:{scope.pk}", title="t", description="d", level=3, evidence=[], scope=scope,
        owner_role=Role.RISK_MANAGER, actor=UserFactory(), now=timezone.now(),
    )  # fmt: skip


def _assessment(scope: Scope) -> RiskAssessment:
    made, _ = RiskAssessment.objects.get_or_create(
        slug=f"a-{scope.pk}",
        defaults={
            "title": "t",
            "scope": scope,
            "created_on": timezone.now(),
            "matrix": matrices.in_force(matrices.THREE),
        },
    )
    return made


def _mitigation(scope: Scope) -> Model:
    return Mitigation.objects.create(assessment=_assessment(scope), title="t")


def _control(scope: Scope) -> Model:
    return Control.objects.get_or_create(slug="tests-control", defaults={"title": "t", "kind": "attested"})[0]


def _incident(scope: Scope) -> Model:
    now = timezone.now()
    facts = {"title": "t", "description": "d", "severity": 3, "scope": scope, "started_at": now, "opened_at": now}
    return Incident.objects.get_or_create(reference=f"I-{scope.pk}", defaults=facts)[0]


def _template(scope: Scope) -> Model:
    facts = {"step": "update", "subject": "s", "body": "b"}
    return CommunicationTemplate.objects.get_or_create(slug="tests", defaults=facts)[0]


def _risk_import(scope: Scope) -> RiskImport:
    made = RiskImport.objects.filter(assessment=_assessment(scope)).first()
    data = b"1. **Risk**\n   - Impact: High\n   - Probability: Low\n"
    return made or preview(name=f"a-{scope.pk}.md", data=data, actor=system("test"), now=timezone.now())


def _register_review(scope: Scope) -> RegisterReview:
    made, _ = RegisterReview.objects.get_or_create(
        assessment=_assessment(scope), defaults={"due_on": timezone.now().date()}
    )
    return made


def _flag(scope: Scope) -> Model:
    return RiskFlag.objects.create(
        scope=scope, source=f"tests:{scope.pk}", level=3, title="t", description="d", raised_at=timezone.now()
    )


def _ticket(scope: Scope) -> Model:
    now = timezone.now()
    return Ticket.objects.create(
        number=f"X-{Ticket.objects.count()}", subject="s", channel="email", scope=scope, created_at=now, updated_at=now
    )


def _review(scope: Scope) -> Review:
    review, _ = Review.objects.get_or_create(kind="weekly", defaults={"due_on": timezone.now().date()})
    ReviewItem.objects.get_or_create(review=review, reason="r")
    return review


def _calendar(scope: Scope) -> Calendar:
    return Calendar.objects.get_or_create(slug=f"c-{scope.pk}", defaults={"name": f"Calendar {scope.pk}"})[0]


def _team(scope: Scope) -> Model:
    return Team.objects.get_or_create(scope=scope, defaults={"name": f"T{scope.pk}", "calendar": _calendar(scope)})[0]


def _proposal(scope: Scope) -> Model:
    now = timezone.now()
    return Proposal.objects.create(
        scope=scope, indicator="data", subject=f"tests:{Proposal.objects.count()}", title="t", score=1.0, level=3,
        created_at=now, updated_at=now,
    )  # fmt: skip


def _cluster(scope: Scope) -> Model:
    now = timezone.now()
    made = Cluster.objects.create(scope=scope, title="t", reports=2, customers=2, first_at=now, last_at=now)
    Report.objects.create(source=f"rows:{made.pk}", scope=scope, customer="c", text="t", at=now, cluster=made)
    return made


def _chat_site(scope: Scope) -> ChatSite:
    return ChatSite.objects.filter(scope=scope).first() or chat_site(scope)


def _endpoint(scope: Scope) -> Endpoint:
    return Endpoint.objects.get_or_create(name="e", defaults={"url": "https://hooks.example", "secret": "s"})[0]


def _outgoing(scope: Scope) -> Model:
    return OutgoingNews.objects.create(
        endpoint=_endpoint(scope),
        kind="k",
        dedupe_key=f"d{OutgoingNews.objects.count()}",
        body={},
        created_at=timezone.now(),
    )


def _store(scope: Scope) -> Store:
    return Store.objects.filter(scope=scope).first() or StoreFactory(scope=scope)


def _dispute(scope: Scope) -> Model:
    return Dispute.objects.create(
        store=_store(scope), external_id="1", status="open", amount=10, currency="USD", told_at=timezone.now()
    )


def _reconciliation(scope: Scope) -> Model:
    now = timezone.now()
    return ReconciliationRun.objects.create(store=_store(scope), status="succeeded", updated_from=now, started_at=now)


def _import(scope: Scope) -> Model:
    return ImportRun.objects.create(
        store=_store(scope), mapping="generic_csv", source="orders.csv", started_at=timezone.now()
    )


def _data_request(scope: Scope) -> Model:
    return DataRequest.objects.create(
        store=_store(scope), external_id="1", customer_external_id="7", requested_at=timezone.now()
    )


def _of_order(factory: Any) -> Make:
    return lambda scope: factory(order=OrderFactory(store=_store(scope)))


def _subscription(scope: Scope) -> Subscription:
    return Subscription.objects.filter(scope=scope).first() or SubscriptionFactory(scope=scope)


def _of_subscription(factory: Any) -> Make:
    return lambda scope: factory(subscription=_subscription(scope))


def _score(scope: Scope) -> Model:
    one = _subscription(scope)
    return RiskScore.objects.create(
        subscription=one, user=one.owner, risk_level="HIGH", last_calculated_at=timezone.now(), rule_version="tests"
    )


def _score_change(scope: Scope) -> Model:
    return RiskScoreHistory.objects.create(
        subscription=_subscription(scope), calculated_at=timezone.now(), risk_level="HIGH", rule_version="tests"
    )


def _level_count(scope: Scope) -> Model:
    return LevelCount.objects.create(day=timezone.now().date(), scope=scope, risk_level="HIGH", subscriptions=1)


def _factor_version(scope: Scope) -> Model:
    return FactorVersion.objects.create(scope=scope, number=1, reason="tests", created_at=timezone.now())


def _recalculation(scope: Scope) -> Model:
    return RecalculationRun.objects.create(trigger="command", status="finished", as_of=timezone.now(), batch_size=100)


def _provider(scope: Scope) -> PaymentProvider:
    found = PaymentProvider.objects.filter(scope=scope).first()
    return found or PaymentProvider.objects.create(
        scope=scope, name="Bank", base_url="https://bank.example", api_token="t"
    )


def _payment_retry(scope: Scope) -> Model:
    one, now = _subscription(scope), timezone.now()
    return PaymentRetry.objects.create(
        subscription=one, provider=_provider(scope), renewal_on=one.renews_on, number=2, amount=one.price,
        currency=one.currency, status="failed", created_at=now,
    )  # fmt: skip


def _retry_policy(scope: Scope) -> Model:
    return RetryPolicyVersion.objects.create(scope=scope, number=1, reason="tests", created_at=timezone.now())


def _renewal_model(scope: Scope) -> RenewalModel:
    now = timezone.now()
    figures = {"roc_auc": 0.78, "calibration_error": 0.02, "brier": 0.135}
    metrics = {"model": figures, "rules": figures, "reliability": [[0.1, 0.12, 400]]}
    made, _ = RenewalModel.objects.get_or_create(
        version=1,
        defaults={"file": "renewal-1-0123456789ab.json", "sha256": "0", "trained_at": now, "observed_until": now,
                  "rows": 1000, "metrics": metrics, "active": True},
    )  # fmt: skip
    return made


def _prediction(scope: Scope) -> Model:
    reasons = [{"feature": "last_failed", "title": "The last renewal failed", "value": 1.0, "effect": 0.8}]
    one = _subscription(scope)
    return RenewalPrediction.objects.create(
        subscription=one, model=_renewal_model(scope), chance=0.7, reasons=reasons, renewal_on=one.renews_on,
        predicted_at=timezone.now(),
    )  # fmt: skip


def _token(scope: Scope) -> Model:
    return issue(user=UserFactory(), name="billing", days=1, now=timezone.now())[0]


def _shelf(scope: Scope) -> Shelf:
    return Shelf.objects.get_or_create(slug="tests", defaults={"title": "Tests", "owner": UserFactory()})[0]


def _article(scope: Scope) -> Article:
    now = timezone.now()
    facts = {
        "category": _shelf(scope),
        "scope": scope,
        "owner": UserFactory(),
        "next_review_on": now,
        "created_at": now,
    }
    return Article.objects.get_or_create(slug=f"article-{scope.pk}", defaults=facts)[0]


def _version(scope: Scope) -> ArticleVersion:
    now = timezone.now()
    facts = {"title": "t", "body": "b", "changes": "c", "author": UserFactory(), "created_at": now, "updated_at": now}
    return ArticleVersion.objects.get_or_create(article=_article(scope), number=1, defaults=facts)[0]


def _feedback(scope: Scope) -> Model:
    facts = {"helpful": False, "given_at": timezone.now()}
    return ArticleFeedback.objects.get_or_create(version=_version(scope), visitor="v", defaults=facts)[0]


def _gap(scope: Scope) -> Gap:
    now = timezone.now()
    return Gap.objects.get_or_create(title=f"gap {scope.pk}", defaults={"first_at": now, "last_at": now})[0]


def _asked(scope: Scope) -> Model:
    return AskedQuestion.objects.create(
        text="t", audience="public", scope=scope, source="tests", outcome="not_sure", confidence=0.1,
        settings=current_settings(), gap=_gap(scope), asked_at=timezone.now(),
    )  # fmt: skip


def _synonym(scope: Scope) -> Model:
    return Synonym.objects.create(words=["parcel", "package"], added_at=timezone.now())


def _gap_with_question(scope: Scope) -> Model:
    _asked(scope)
    return _gap(scope)


ROWS: dict[str, Make] = {
    "knowledge.article": _article,
    "knowledge.articleversion": _version,
    "knowledge.articlefeedback": _feedback,
    "knowledge.askedquestion": _asked,
    "knowledge.gap": _gap_with_question,
    "knowledge.category": _shelf,
    "knowledge.synonym": _synonym,
    "knowledge.answersettings": lambda scope: current_settings(),
    "core.apitoken": _token,
    "subscriptions.paymentprovider": _provider,
    "subscriptions.paymentretry": _payment_retry,
    "subscriptions.retrypolicyversion": _retry_policy,
    "subscriptions.renewalmodel": _renewal_model,
    "subscriptions.renewalprediction": _prediction,
    "subscriptions.subscription": _subscription,
    "subscriptions.renewalattempt": _of_subscription(RenewalAttemptFactory),
    "subscriptions.approval": _of_subscription(ApprovalFactory),
    "subscriptions.accountbalance": _of_subscription(BalanceFactory),
    "subscriptions.riskscore": _score,
    "subscriptions.riskscorehistory": _score_change,
    "subscriptions.levelcount": _level_count,
    "subscriptions.factorversion": _factor_version,
    "subscriptions.recalculationrun": _recalculation,
    "chat.chatsite": _chat_site,
    "chat.chatpolicyversion": lambda scope: versions.current(ChatPolicyVersion, PILOT),
    "chat.visitor": lambda scope: visitor(_chat_site(scope)),
    "orders.store": _store,
    "orders.customer": lambda scope: CustomerFactory(store=_store(scope)),
    "orders.product": lambda scope: ProductFactory(store=_store(scope)),
    "orders.order": lambda scope: OrderFactory(store=_store(scope)),
    "orders.fulfillment": _of_order(FulfillmentFactory),
    "orders.refund": _of_order(RefundFactory),
    "orders.transaction": _of_order(TransactionFactory),
    "orders.dispute": _dispute,
    "orders.webhookdelivery": lambda scope: WebhookDeliveryFactory(store=_store(scope)),
    "orders.reconciliationrun": _reconciliation,
    "orders.importrun": _import,
    "orders.datarequest": _data_request,
    "core.user": lambda scope: UserFactory(),
    "core.scope": lambda scope: scope,
    "core.decision": _decision,
    "core.delivery": _delivery,
    "auth.group": lambda scope: Group.objects.earliest("pk"),
    "auditlog.logentry": _change,
    "django_celery_beat.periodictask": _periodic_task,
    "escalation.riskflag": _flag,
    "escalation.ticket": _ticket,
    "escalation.calendar": _calendar,
    "escalation.cannedreply": lambda scope: CannedReply.objects.get_or_create(title="t", body="b")[0],
    "escalation.category": lambda scope: Category.objects.get_or_create(slug="c", name="c")[0],
    "escalation.cluster": _cluster,
    "escalation.course": lambda scope: Course.objects.get_or_create(slug="c", title="c")[0],
    "escalation.document": lambda scope: Document.objects.get_or_create(slug="d", title="d", owner="o")[0],
    "escalation.endpoint": _endpoint,
    "escalation.outgoingnews": _outgoing,
    "escalation.phrase": lambda scope: Phrase.objects.get_or_create(
        indicator="data", text="tests only", defaults={"weight": 1, "reason": "r"}
    )[0],
    "escalation.indicatorversion": lambda scope: current_version(indicators["data"]),
    "escalation.proposal": _proposal,
    "escalation.team": _team,
    "escalation.review": _review,
    "register.risk": _risk,
    "register.riskassessment": _assessment,
    "register.mitigation": _mitigation,
    "register.control": _control,
    "register.checkversion": lambda scope: versions.current(CheckVersion, checks["backup-age"]),
    "register.registerreview": _register_review,
    "register.incident": _incident,
    "register.riskimport": _risk_import,
    "register.communicationtemplate": _template,
    "register.matrix": lambda scope: Matrix.objects.get(slug=matrices.THREE),
    "register.category": lambda scope: RiskCategory.objects.get_or_create(name="c", path="c")[0],
    "actions.actioncard": lambda scope: CardFactory(scope=scope),
    "actions.execution": _execution,
    "actions.ruleversion": lambda scope: example_version("order-ageing"),
    "actions.rulerun": _run,
}
