"""``manage.py simulate_store``: a lively shop sends its webhooks to the running site."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from random import Random
from typing import Any
from uuid import uuid4

import httpx
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apps.orders.demo.lively import Lively, signed
from apps.orders.demo.load import STORES, domain, make_shop
from apps.orders.models import Store

TIMEOUT = 10.0


class Command(BaseCommand):
    help = "Send the signed webhooks of a lively shop to the running site, until Ctrl-C."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--rate", type=float, default=0.5, help="webhooks a second (default 0.5)")
        parser.add_argument("--url", default=settings.SITE_URL, help="of the site (default: the one that is set up)")
        parser.add_argument("--store", choices=[slug for slug, *_ in STORES], default=STORES[0][0])
        parser.add_argument("--count", type=int, default=0, help="stop after so many (default: never)")
        parser.add_argument(
            "--seed", type=int, default=0, help="the same seed makes the same shop (default: by the clock)"
        )

    def handle(self, *, rate: float, url: str, store: str, count: int, seed: int, **_: Any) -> None:
        if rate <= 0:
            raise CommandError("The rate must be above 0.")
        found = Store.objects.filter(domain=domain(store), active=True).first()
        if found is None:
            raise CommandError("The demo store is not there; run `manage.py load_demo` first.")
        shop = make_shop(store)
        # Later numbers than all that this shop or an earlier simulation has used.
        shop.base, shop.number, shop.random = int(time.time() * 1000) * 1000, 10_000, Random(seed or None)  # noqa: S311 - a game
        self.stdout.write(f"{found.name} sends {rate:g} webhooks a second to {url}; stop with Ctrl-C.")
        try:
            with httpx.Client(base_url=url.rstrip("/"), timeout=TIMEOUT) as client:
                self._send(client, found, Lively(shop, timezone.now), rate, count)
        except KeyboardInterrupt:
            self.stdout.write("Stopped.")

    def _send(self, client: httpx.Client, store: Store, lively: Lively, rate: float, count: int) -> None:
        due = time.monotonic()
        for number, (topic, document) in enumerate(lively.stream(), 1):
            body, headers = signed(
                topic,
                document,
                domain=store.domain,
                secret=store.webhook_secret,
                webhook_id=str(uuid4()),
                at=timezone.now(),
            )
            begun = time.perf_counter()
            try:
                answer = client.post("/webhooks/shopify", content=body, headers=headers)
            except httpx.HTTPError as error:
                raise CommandError(f"The site does not answer at {client.base_url}: {type(error).__name__}.") from error
            took = (time.perf_counter() - begun) * 1000
            name = document.get("name") or document.get("order_id") or document.get("id")
            self.stdout.write(f"{topic:32} {name!s:>14}  {answer.status_code}  {took:4.0f} ms")
            if answer.status_code == 401:
                raise CommandError("The site refuses the signature: does it use the same database?")
            if number == count:
                return
            due += 1 / rate
            time.sleep(max(0.0, due - time.monotonic()))
