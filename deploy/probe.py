"""Is this container's program well? ``python deploy/probe.py web|worker|answers|beat``; exit code 0 if so.

Asked every few seconds, so each question imports no more than it needs.
"""

from __future__ import annotations

import http.client
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

SECONDS = 3.0
# Beat writes down its turns every three minutes, and its shortest turn is seconds.
BEAT_SILENCE = timedelta(minutes=10)


def web() -> str:
    """What is wrong with the web server on PORT (8000); empty if it can serve requests."""
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("PORT") or 8000), timeout=SECONDS)
    try:
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        return "" if answer.status == 200 else f"{answer.status} {answer.read(500).decode(errors='replace')}"
    except (OSError, http.client.HTTPException) as error:
        return f"no answer: {error}"
    finally:
        connection.close()


def worker(node: str = "celery") -> str:
    """What is wrong with the worker of this host; empty if it answers through the queue."""
    import socket

    from config.celery import app

    name = f"{node}@{socket.gethostname()}"
    return "" if app.control.ping(destination=[name], timeout=SECONDS) else f"{name} does not answer"


def answers() -> str:
    """The same, of the worker for what customers wait for."""
    return worker("answers")


def beat() -> str:
    """What is wrong with the scheduler; empty if it has sent something lately."""
    import django

    django.setup()
    from django.db.models import Max
    from django.utils import timezone
    from django_celery_beat.models import PeriodicTask

    latest = PeriodicTask.objects.filter(enabled=True).aggregate(latest=Max("last_run_at"))["latest"]
    quiet = latest is None or timezone.now() - latest > BEAT_SILENCE
    return f"nothing was scheduled since {latest}" if quiet else ""


PROBES: dict[str, Callable[[], str]] = {"web": web, "worker": worker, "answers": answers, "beat": beat}


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    wrong = PROBES[sys.argv[1]]()
    if wrong:
        sys.exit(wrong)
