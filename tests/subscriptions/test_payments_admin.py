"""Admin pages of retries, policies, providers and predictions."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from apps.core.models import Decision
from apps.core.roles import Role
from apps.subscriptions.models import PaymentProvider, PaymentRetry, RenewalModel, RetryPolicyVersion
from apps.subscriptions.retries import RetryPolicy
from tests.core.factories import ScopeFactory, person
from tests.core.rows import ROWS
from tests.subscriptions.factories import NOW

pytestmark = pytest.mark.django_db
POLICY = {
    "scope": "", "enabled": "on", "wait_hours": "12, 36", "give_up_days": "20", "tries_in_30_days": "10",
    "hard_codes": "51", "soft_codes": "", "reason": "Our bank asked for it",
}  # fmt: skip
PROVIDER = {"name": "Bank", "scope": "", "base_url": "https://bank.example/v1", "active": "on", "new_api_token": "sk_1"}


def signed_in(client: Client, role: Role, *scopes) -> Client:
    client.force_login(person(role, *scopes))
    return client


def url(name: str, *args: object) -> str:
    return reverse(f"admin:subscriptions_{name}", args=args)


def test_a_new_policy_is_a_new_version_and_logged(client) -> None:
    signed_in(client, Role.RISK_MANAGER)
    for number in (1, 2):
        assert client.post(url("retrypolicyversion_add"), POLICY).status_code == 302
        version = RetryPolicyVersion.objects.get(number=number)
        assert RetryPolicy.model_validate(version.settings).wait_hours == (12, 36)
        assert version.created_by.groups.get().name == Role.RISK_MANAGER
    assert Decision.objects.filter(action="retry_policy_made").count() == 2
    assert client.post(url("retrypolicyversion_change", version.pk), POLICY).status_code == 403
    assert "After 12, 36 h" in client.get(url("retrypolicyversion_changelist")).content.decode()


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [("tries_in_30_days", "16", "less than or equal to 15"), ("wait_hours", "0", "greater than or equal to 1"),
     ("wait_hours", "x", "Write numbers"), ("reason", "", "required")],
)  # fmt: skip
def test_a_policy_beyond_the_limits_is_refused_with_words(client, field, value, words) -> None:
    answer = signed_in(client, Role.RISK_MANAGER).post(url("retrypolicyversion_add"), {**POLICY, field: value})
    assert answer.status_code == 200
    assert words in answer.content.decode()
    assert not RetryPolicyVersion.objects.exists()


def test_people_of_other_organisations_see_no_policy_of_this_one(client) -> None:
    scope = ScopeFactory()
    version = ROWS["subscriptions.retrypolicyversion"](scope)
    signed_in(client, Role.OPERATOR, ScopeFactory())
    assert client.get(url("retrypolicyversion_change", version.pk)).status_code in (302, 403)
    assert client.post(url("retrypolicyversion_add"), POLICY).status_code == 403


def test_a_token_is_written_and_never_shown(client) -> None:
    signed_in(client, Role.ADMINISTRATOR)
    assert client.post(url("paymentprovider_add"), PROVIDER).status_code == 302
    row = PaymentProvider.objects.get()
    assert row.api_token == "sk_1"
    assert "sk_1" not in client.get(url("paymentprovider_change", row.pk)).content.decode()
    client.post(url("paymentprovider_change", row.pk), {**PROVIDER, "new_api_token": ""})
    row.refresh_from_db()
    assert row.api_token == "sk_1"
    assert Decision.objects.filter(action="payment_provider_token_set").count() == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [({"base_url": "http://bank.example"}, "begin with https"), ({"new_api_token": ""}, "needs a token")],
)
def test_a_provider_that_would_leak_or_fail_is_refused(client, change, words) -> None:
    answer = signed_in(client, Role.ADMINISTRATOR).post(url("paymentprovider_add"), {**PROVIDER, **change})
    assert words in answer.content.decode()
    assert not PaymentProvider.objects.exists()


def test_an_address_where_retries_are_under_way_stays(client) -> None:
    scope = ScopeFactory()
    retry = ROWS["subscriptions.paymentretry"](scope)
    PaymentRetry.objects.update(status="running", next_try_at=NOW)
    page = url("paymentprovider_change", retry.provider_id)
    answer = signed_in(client, Role.ADMINISTRATOR).post(page, {**PROVIDER, "scope": scope.pk})
    assert "Retries are under way there" in answer.content.decode()


@pytest.mark.parametrize(("role", "status"), [(Role.OPERATOR, "running"), (Role.SUPPORT_AGENT, "failed")])
def test_who_may_have_the_provider_asked_again(client, role, status) -> None:
    scope = ScopeFactory()
    retry = ROWS["subscriptions.paymentretry"](scope)
    signed_in(client, role, scope).post(
        url("paymentretry_changelist"), {"action": "ask_again", "_selected_action": [retry.pk]}
    )
    retry.refresh_from_db()
    assert retry.status == status
    assert Decision.objects.filter(action="payment_retry_asked_again").exists() is (status == "running")


def test_a_foreign_retry_is_not_asked_about(client) -> None:
    retry = ROWS["subscriptions.paymentretry"](ScopeFactory())
    signed_in(client, Role.OPERATOR, ScopeFactory()).post(
        url("paymentretry_changelist"), {"action": "ask_again", "_selected_action": [retry.pk]}
    )
    retry.refresh_from_db()
    assert retry.status == "failed"


def test_a_model_shows_its_figures_beside_the_plain_rules(client) -> None:
    version = ROWS["subscriptions.renewalmodel"](ScopeFactory())
    page = signed_in(client, Role.RISK_MANAGER).get(url("renewalmodel_change", version.pk)).content.decode()
    assert page.count("ROC AUC 0.780") == 2
    assert "12.0%" in page


def test_a_model_whose_file_is_not_there_cannot_be_chosen(client) -> None:
    RenewalModel.objects.create(
        version=2, file="renewal-2-0123456789ab.json", sha256="0", trained_at=NOW, observed_until=NOW, rows=1
    )
    answer = signed_in(client, Role.ADMINISTRATOR).post(
        url("renewalmodel_changelist"),
        {"action": "use_this", "_selected_action": [RenewalModel.objects.get().pk]},
        follow=True,
    )
    assert "is not there" in answer.content.decode()
    assert not RenewalModel.objects.get().active


def test_predictions_show_chance_reasons_and_what_the_rules_say(client) -> None:
    scope = ScopeFactory()
    ROWS["subscriptions.riskscore"](scope)
    ROWS["subscriptions.renewalprediction"](scope)
    signed_in(client, Role.OPERATOR, scope)
    page = client.get(url("renewalprediction_changelist")).content.decode()
    assert "70%" in page
    assert "The last renewal failed" in page
    assert "High" in page
    low = client.get(url("renewalprediction_changelist"), {"rules": "low"})
    assert low.context["cl"].result_count == 0
    assert client.get(url("renewalprediction_changelist"), {"rules": "x"}).status_code == 200


@pytest.mark.parametrize("name", ["renewalprediction", "renewalmodel"])
def test_without_a_model_the_pages_say_how_to_get_one(client, name) -> None:
    signed_in(client, Role.ADMINISTRATOR)
    assert "manage.py train_renewal_model" in client.get(url(f"{name}_changelist")).content.decode()


def test_without_a_version_the_page_says_which_policy_holds(client) -> None:
    shown = signed_in(client, Role.RISK_MANAGER).get(url("retrypolicyversion_changelist")).content.decode()
    assert "After 24, 72, 120, 168 h; at most 15 tries in 30 days; up to 28 days" in shown
