"""When a renewal is tried again, and when never."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from apps.subscriptions.declines import classify, decline_codes, words_for
from apps.subscriptions.models import RetryPolicyVersion, Subscription
from apps.subscriptions.retries import (
    NETWORK_TRIES,
    NETWORK_WINDOW,
    RetryPolicy,
    Tried,
    current_policy,
    decline_kind,
    next_try,
    proposal_for,
    propose,
)
from tests.core.factories import ScopeFactory
from tests.subscriptions.factories import NOW, RENEWS_ON, RenewalAttemptFactory, SubscriptionFactory

DUE = datetime.combine(RENEWS_ON, time(), UTC)


def soft(at: datetime, code: str = "51") -> Tried:
    return Tried(at, False, code, "soft")


def propose_after(
    *tries: Tried, policy: RetryPolicy | None = None, others=(), now: datetime | None = None, method: str = ""
):
    last = now or max(t.at for t in tries)
    return next_try(policy or RetryPolicy(), renewal=tries, others=others, renewal_end=DUE, now=last, method=method)


policies = st.builds(
    RetryPolicy,
    wait_hours=st.lists(st.integers(1, 720), max_size=14).map(tuple),
    give_up_days=st.integers(1, 90),
    tries_in_30_days=st.integers(1, NETWORK_TRIES),
)


@given(policy=policies, others=st.lists(st.integers(0, 60 * 24), max_size=20))
@settings(max_examples=300, deadline=None)
def test_following_the_proposals_never_tries_more_than_the_networks_allow(policy, others) -> None:
    """Every try declined softly, each made at its proposed moment: at most so many in any thirty days from then on."""
    before = [DUE - timedelta(hours=hours) for hours in others]
    tries, proposed = [soft(DUE)], []
    while (proposal := propose_after(*tries, policy=policy, others=before)).at:
        assert proposal.at >= tries[-1].at + timedelta(hours=policy.wait_hours[len(tries) - 1])
        assert proposal.at <= DUE + timedelta(days=policy.give_up_days)
        tries.append(soft(proposal.at))
        proposed.append(proposal.at)
    assert len(tries) <= 1 + len(policy.wait_hours)
    everything = [*before, *(one.at for one in tries)]
    for at in proposed:
        window = [one for one in everything if at - NETWORK_WINDOW <= one <= at]
        assert len(window) <= min(policy.tries_in_30_days, NETWORK_TRIES)


@given(policy=policies, number=st.integers(0, 13), place=st.integers(0, 13), code=st.sampled_from(["41", "lost_card"]))
@settings(deadline=None)
def test_nothing_follows_a_hard_decline_wherever_it_stands(policy, number, place, code) -> None:
    tries = [soft(DUE + timedelta(hours=n)) for n in range(number)]
    tries.insert(min(place, number), Tried(DUE, False, code, "hard"))
    proposal = propose_after(*tries, policy=policy)
    assert proposal.at is None
    assert "another payment method" in proposal.reason


@given(
    policy=policies,
    others=st.lists(st.integers(0, 60 * 24), max_size=20),
    methods=st.lists(st.sampled_from(["a", "b", "c"]), max_size=25),
)
@settings(max_examples=300, deadline=None)
def test_changing_the_payment_method_never_makes_room_beyond_the_networks_limit(policy, others, methods) -> None:
    """Each try is declined for good, and another method is entered at once, as often as one likes."""
    before = [DUE - timedelta(hours=hours) for hours in others]
    tries, proposed, dead = [Tried(DUE, False, "41", "hard", "first")], [], {"first"}
    for method in methods:
        proposal = propose_after(*tries, policy=policy, others=before, method=method)
        assert (proposal.at is None) or method not in dead, "a method that was declined for good is never tried again"
        if proposal.at is not None:
            tries.append(Tried(proposal.at, False, "41", "hard", method))
            proposed.append(proposal.at)
            dead.add(method)
    everything = [*before, *(one.at for one in tries)]
    for at in proposed:
        assert at <= DUE + timedelta(days=policy.give_up_days)
        window = [one for one in everything if at - NETWORK_WINDOW <= one <= at]
        assert len(window) <= min(policy.tries_in_30_days, NETWORK_TRIES)


def test_another_method_begins_the_schedule_anew() -> None:
    hard = Tried(DUE, False, "41", "hard", "old")
    first = propose_after(hard, method="new")
    assert (first.at, first.reason) == (DUE, "First try with another payment method")
    second = propose_after(hard, Tried(DUE, False, "51", "soft", "new"), method="new")
    assert (second.at, second.reason) == (DUE + timedelta(hours=24), "Retry 1 of 4, 24 h after the try before")
    assert propose_after(hard, Tried(DUE, False, "51", "soft", "new"), method="old").at is None
    assert propose_after(hard, method="").reason == "No payment method is stored."
    assert propose_after(hard, method="new", policy=RetryPolicy(wait_hours=())).at is None


def test_another_method_used_up_like_the_first() -> None:
    waits = RetryPolicy(wait_hours=(1,))
    tries = [Tried(DUE, False, "51", "soft", "old"), *[Tried(DUE, False, "51", "soft", "new")] * 2]
    assert propose_after(*tries, policy=waits, method="new").reason == "The only retry was used."


@given(policy=policies, late=st.integers(0, 100 * 24))
@settings(deadline=None)
def test_nothing_is_proposed_for_the_past(policy, late) -> None:
    now = DUE + timedelta(hours=late)
    proposal = propose_after(soft(DUE), policy=policy, now=now)
    assert proposal.at is None or proposal.at >= now


def test_the_schedule_is_kept() -> None:
    first = propose_after(soft(DUE))
    second = propose_after(soft(DUE), soft(first.at))
    assert first.at == DUE + timedelta(hours=24)
    assert second.at == first.at + timedelta(hours=72)
    assert first.reason == "Retry 1 of 4, 24 h after the try before"


def test_a_full_window_puts_the_try_off() -> None:
    others = [DUE - timedelta(days=5, minutes=n) for n in range(14)]
    proposal = propose_after(soft(DUE), others=others)
    assert proposal.at == min(others) + NETWORK_WINDOW + timedelta(seconds=1)
    assert "at most 15 tries in 30 days" in proposal.reason


@pytest.mark.parametrize(
    ("tries", "policy", "words"),
    [
        ([soft(DUE), Tried(DUE + timedelta(days=1), True)], RetryPolicy(), "Paid."),
        ([soft(DUE)], RetryPolicy(enabled=False), "Retries are switched off."),
        ([soft(DUE)], RetryPolicy(wait_hours=()), "The policy allows no retries."),
        ([soft(DUE)], RetryPolicy(wait_hours=(700,), give_up_days=20), "Given up: more than 20 days"),
    ],
)
def test_why_there_is_no_other_try(tries, policy, words) -> None:
    proposal = propose_after(*tries, policy=policy)
    assert proposal.at is None
    assert proposal.reason.startswith(words)


@pytest.mark.parametrize(
    "wrong",
    [{"tries_in_30_days": 16}, {"wait_hours": [0]}, {"wait_hours": [1] * 15}, {"give_up_days": 0}, {"surprise": 1}],
)
def test_a_policy_beyond_the_limits_is_refused(wrong) -> None:
    with pytest.raises(ValidationError):
        RetryPolicy.model_validate(wrong)


@pytest.mark.parametrize(
    ("code", "kind"),
    [("51", "soft"), (" Insufficient_Funds ", "soft"), ("41", "hard"), ("r1", "hard"), ("54", "hard"), ("", "soft"),
     ("never heard of it", "soft")],
)  # fmt: skip
def test_codes_are_classified(code, kind) -> None:
    assert classify(code) == kind


def test_no_code_is_both_hard_and_soft_and_each_has_words() -> None:
    known = decline_codes()
    assert not set(known["hard"]) & set(known["soft"])
    assert all(words_for(code) for codes in known.values() for code in codes)
    assert words_for("x9") == "x9"


def test_an_organisations_own_codes_come_first() -> None:
    assert classify("51", hard=["51"]) == "hard"
    assert classify("41", soft=["41"]) == "soft"
    policy = RetryPolicy(hard_codes=("51",))
    assert propose_after(soft(DUE), policy=policy).at is None


@pytest.mark.django_db
class TestStored:
    def version(self, scope=None, number=1, **values) -> None:
        RetryPolicyVersion.objects.create(
            scope=scope,
            number=number,
            settings=RetryPolicy(**values).model_dump(mode="json"),
            reason="r",
            created_at=NOW,
        )

    def test_the_newest_policy_of_the_organisation_holds_then_everybodys_then_the_defaults(self) -> None:
        scope, other = ScopeFactory(), ScopeFactory()
        assert current_policy(scope.pk) == RetryPolicy()
        self.version(wait_hours=[5])
        self.version(scope, 1, wait_hours=[6])
        self.version(scope, 2, wait_hours=[7], hard_codes=["51"])
        assert current_policy(scope.pk).wait_hours == (7,)
        assert current_policy(other.pk).wait_hours == (5,)
        assert current_policy(None).wait_hours == (5,)
        assert decline_kind("51", scope_id=scope.pk) == "hard"
        assert decline_kind("51", scope_id=other.pk) == "soft"

    def test_the_newest_renewal_is_proposed_and_written_down(self) -> None:
        subscription = SubscriptionFactory()
        RenewalAttemptFactory(subscription=subscription, success=False, decline_code="41", decline_kind="hard")
        RenewalAttemptFactory(
            subscription=subscription, renewal_on=RENEWS_ON, attempt_date=DUE, success=False, decline_code="51"
        )
        propose(subscription=subscription, now=DUE)
        subscription.refresh_from_db()
        assert subscription.next_attempt_at == DUE + timedelta(hours=24)
        assert subscription.next_attempt_reason.startswith("Retry 1 of 4")

    def test_a_subscription_that_is_not_active_is_left_alone(self) -> None:
        subscription = SubscriptionFactory(status=Subscription.Status.PAUSED)
        RenewalAttemptFactory(subscription=subscription, renewal_on=RENEWS_ON, success=False)
        assert proposal_for(subscription, now=NOW).at is None

    def test_without_tries_there_is_nothing_to_repeat(self) -> None:
        assert proposal_for(SubscriptionFactory(), now=NOW).at is None
