"""News reaches people once, by the ways they want, and survives mail servers and workers that fail."""

from __future__ import annotations

import smtplib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.test import Client
from django.urls import reverse

from apps.core.models import Delivery, Notification, NotificationSetting, User
from apps.core.notifications import (
    KINDS,
    MAX_ATTEMPTS,
    News,
    backoff,
    deliver_one,
    is_permanent,
    notify,
    notify_many,
    retry_failed,
)
from apps.core.tasks import deliver_pending_notifications
from tests.core.factories import UserFactory

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def at_noon() -> Any:
    with time_machine.travel(NOON, tick=False) as clock:
        yield clock


@pytest.fixture
def ann() -> User:
    return UserFactory(username="ann")


@pytest.fixture
def ben() -> User:
    return UserFactory(username="ben")


def tell(*people: User, **changes: object) -> int:
    facts = {"kind": "monitoring", "title": "Monitoring is down", "body": "Since noon.", "dedupe_key": "down:1"}
    return notify(recipients=people, **(facts | changes))


def mails(user: User) -> Delivery:
    return Delivery.objects.get(notification__recipient=user, channel="email")


def test_news_is_in_the_inbox_and_mailed_once(ann: User, ben: User) -> None:
    assert tell(ann, ben, url="/admin/") == 2
    assert tell(ann, ben) == 0
    assert deliver_pending_notifications() == 2
    assert deliver_pending_notifications() == 0
    assert sorted(message.to[0] for message in mail.outbox) == ["ann@example.com", "ben@example.com"]
    assert "http://localhost:8000/admin/" in mail.outbox[0].body
    assert Notification.objects.count() == 2
    assert mails(ann).status == "sent"


def test_news_for_one_more_person_reaches_that_person_only(ann: User, ben: User) -> None:
    tell(ann)
    assert tell(ann, ben, ann) == 1
    assert Notification.objects.filter(recipient=ann).count() == 1


def test_many_people_are_told_many_things_by_a_constant_number_of_queries(
    ann: User, ben: User, django_assert_num_queries: Any
) -> None:
    def news(count: int) -> list[News]:
        people = [ann, ben, UserFactory(is_active=False)]
        return [News(person, f"News {n}", "Words.", f"{count}:{n}") for n in range(count) for person in people]

    for count in (1, 40):
        told = news(count)
        with django_assert_num_queries(5):  # savepoint, rows, settings, deliveries, end of it
            assert notify_many(kind="monitoring", news=told) == 2 * count
    assert notify_many(kind="monitoring", news=[*news(1), News(ann, "More", "Words.", "more")]) == 1
    assert notify_many(kind="monitoring", news=[]) == 0


def test_inactive_people_and_people_without_an_address_get_no_mail(ann: User) -> None:
    assert tell(UserFactory(is_active=False)) == 0
    silent = UserFactory(email="")
    tell(silent)
    assert mails(silent).status == "skipped"
    assert deliver_pending_notifications() == 0


def test_a_kind_can_be_switched_off(ann: User) -> None:
    NotificationSetting.objects.create(user=ann, kind="monitoring", email=False)
    tell(ann)
    tell(ann, kind="risk_flag", dedupe_key="flag:1", title="A flag")
    deliver_pending_notifications()
    assert [message.subject for message in mail.outbox] == ["A flag"]
    assert Notification.objects.filter(recipient=ann).count() == 2


def test_urgent_news_goes_first_and_says_so(ann: User) -> None:
    tell(ann)
    tell(ann, dedupe_key="down:2", title="All of it\nis down", urgent=True)
    deliver_pending_notifications()
    assert [message.subject for message in mail.outbox] == ["[Urgent] All of it is down", "Monitoring is down"]


def test_urgent_news_asks_for_delivery_after_the_commit(
    ann: User, django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, object]] = []
    monkeypatch.setattr(deliver_pending_notifications, "apply_async", lambda **how: asked.append(how))
    with django_capture_on_commit_callbacks(execute=True):
        tell(ann, urgent=True)
        assert asked == []
    assert asked == [{"retry": False}]


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> Callable[[], None]:
    def refuse(self: EmailBackend, messages: object) -> int:
        raise error

    monkeypatch.setattr(EmailBackend, "send_messages", refuse)
    return monkeypatch.undo


def test_a_mail_server_that_fails_and_then_works(ann: User, monkeypatch: pytest.MonkeyPatch, at_noon: Any) -> None:
    tell(ann)
    with monkeypatch.context() as patch:
        failing(patch, smtplib.SMTPServerDisconnected("gone"))
        assert deliver_pending_notifications() == 1
    waiting = mails(ann)
    assert (waiting.status, waiting.attempts, waiting.next_attempt_at) == ("pending", 1, NOON + timedelta(minutes=1))
    assert "gone" in waiting.last_error
    assert deliver_pending_notifications() == 0
    at_noon.shift(timedelta(minutes=1))
    assert deliver_pending_notifications() == 1
    assert (mails(ann).status, mails(ann).last_error) == ("sent", "")


def test_after_enough_attempts_it_gives_up_and_can_be_tried_again(
    ann: User, monkeypatch: pytest.MonkeyPatch, at_noon: Any
) -> None:
    tell(ann)
    with monkeypatch.context() as patch:
        failing(patch, ConnectionRefusedError("nobody listens"))
        for _ in range(MAX_ATTEMPTS + 2):
            deliver_pending_notifications()
            at_noon.shift(timedelta(hours=5))
    assert (mails(ann).status, mails(ann).attempts) == ("failed", MAX_ATTEMPTS)
    assert retry_failed(Delivery.objects.all()) == 1
    assert deliver_pending_notifications() == 1
    assert mails(ann).status == "sent"


def test_a_refused_address_is_not_tried_again(ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    tell(ann)
    with monkeypatch.context() as patch:
        failing(patch, smtplib.SMTPRecipientsRefused({"ann@example.com": (550, b"no such user")}))
        deliver_pending_notifications()
    assert (mails(ann).status, mails(ann).attempts) == ("failed", 1)


class Killed(BaseException):
    """The worker dies: nothing after it runs, as with SIGKILL."""


def test_a_worker_killed_between_sending_and_recording(
    ann: User, monkeypatch: pytest.MonkeyPatch, at_noon: Any
) -> None:
    tell(ann)
    sends = EmailBackend.send_messages

    def send_and_die(self: EmailBackend, messages: Any) -> int:
        sends(self, messages)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(EmailBackend, "send_messages", send_and_die)
        with pytest.raises(Killed):
            deliver_one(now=NOON)
    assert deliver_one(now=NOON) is None, "the claim still holds"
    at_noon.shift(timedelta(minutes=6))
    assert deliver_pending_notifications() == 1
    first, second = (message.message()["Message-ID"] for message in mail.outbox)
    assert first == second, "mail systems drop the repetition by its id"


@pytest.mark.parametrize(
    ("error", "permanent"),
    [
        (smtplib.SMTPRecipientsRefused({"a": (550, b"")}), True),
        (smtplib.SMTPRecipientsRefused({"a": (450, b"")}), False),
        (smtplib.SMTPDataError(554, b""), True),
        (smtplib.SMTPDataError(451, b""), False),
        (smtplib.SMTPAuthenticationError(535, b""), False),
        (smtplib.SMTPConnectError(554, b""), False),
        (TimeoutError(), False),
        (ValueError("bad header"), True),
    ],
)
def test_failures_are_classified(error: Exception, permanent: bool) -> None:
    assert is_permanent(error) is permanent


def test_waits_grow_to_a_limit() -> None:
    assert [backoff(n) for n in (1, 2, 3, 9)] == [
        timedelta(minutes=1),
        timedelta(minutes=4),
        timedelta(minutes=16),
        timedelta(hours=4),
    ]


# The inbox page


def test_a_person_sees_their_own_news(client: Client, ann: User, ben: User) -> None:
    tell(ann, title="For Ann")
    tell(ben, title="For Ben", dedupe_key="other")
    client.force_login(ann)
    page = client.get(reverse("inbox")).content.decode()
    assert "For Ann" in page
    assert "For Ben" not in page


def test_the_inbox_asks_for_a_login(client: Client) -> None:
    assert client.get(reverse("inbox")).status_code == 302
    assert client.post(reverse("inbox_read", args=[1])).status_code == 302


def test_marking_as_read(client: Client, ann: User) -> None:
    tell(ann, url="/admin/core/decision/")
    news = Notification.objects.get()
    client.force_login(ann)
    assert client.get(reverse("inbox_read", args=[news.pk])).status_code == 405
    assert client.post(reverse("inbox_read", args=[news.pk]), {"open": 1}).url == "/admin/core/decision/"
    news.refresh_from_db()
    assert news.read_at == NOON
    assert "Nothing unread" in client.get(reverse("inbox"), {"unread": 1}).content.decode()


def test_opening_never_leaves_the_site(client: Client, ann: User) -> None:
    tell(ann, url="https://evil.example/")
    client.force_login(ann)
    assert client.post(reverse("inbox_read", args=[Notification.objects.get().pk]), {"open": 1}).url == reverse("inbox")


def test_somebody_elses_news_is_not_found(client: Client, ann: User, ben: User) -> None:
    tell(ann)
    client.force_login(ben)
    assert client.post(reverse("inbox_read", args=[Notification.objects.get().pk])).status_code == 404
    client.post(reverse("inbox_read_all"))
    assert Notification.objects.get().read_at is None


def test_settings_are_saved_and_audited(client: Client, ann: User) -> None:
    client.force_login(ann)
    assert client.get(reverse("inbox_settings")).content.decode().count("checked") == len(KINDS)
    client.post(reverse("inbox_settings"), {"email": ["risk_flag"]})
    off = NotificationSetting.objects.filter(user=ann, email=False)
    assert set(off.values_list("kind", flat=True)) == KINDS.keys() - {"risk_flag"}
