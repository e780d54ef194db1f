"""How long importing and exporting an assessment of 10,000 risks takes, and how much memory.

    python -m benchmarks.register_papers [--risks 10000] [--format csv]

It writes into the database of ``DATABASE_URL`` and rolls everything back. Seconds of the processor stand beside those of the
clock, for the clock also counts what else the machine does.
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import transaction  # noqa: E402
from django.utils import timezone  # noqa: E402

from apps.core.decisions import system  # noqa: E402
from apps.register.papers.export import FORMATS, export  # noqa: E402
from apps.register.papers.importing import apply, preview  # noqa: E402
from apps.register.papers.shapes import Paper, PaperMitigation, PaperRisk, PaperScore  # noqa: E402

STEPS = ("Low", "Medium", "High")
ACTOR = system("benchmark")


def risk(number: int) -> PaperRisk:
    """A risk with two scores and three mitigations."""
    current = PaperScore("current", STEPS[number % 3], STEPS[number // 3 % 3])
    return PaperRisk(
        key=f"bench/{number}",
        path=("Security", f"Area {number % 40}"),
        title=f"Risk {number} of something that may well happen",
        number=str(number + 1),
        description="It may happen on a bad day, and then it hurts. " * 3,
        status="open",
        scores=(PaperScore("inherent", "High", "High"), current),
        mitigations=tuple(PaperMitigation(f"Mitigation {place} of {number}", status="planned") for place in range(3)),
    )


@contextmanager
def timed(words: str) -> Iterator[None]:
    clock, processor = time.perf_counter(), time.process_time()
    yield
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    passed, used = time.perf_counter() - clock, time.process_time() - processor
    print(f"{words:24} {passed:6.1f} s, of the processor {used:5.1f} s, peak {peak:4.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--risks", type=int, default=10_000)
    parser.add_argument("--format", choices=[kind for kind, one in FORMATS.items() if one.lossless], default="csv")
    options = parser.parse_args()
    out = io.BytesIO()
    head = Paper(shape="register", title="Benchmark", slug="benchmark-of-papers", matrix="low-medium-high v1")
    FORMATS[options.format].write(head, (risk(number) for number in range(options.risks)), out)
    print(f"{options.risks:,} risks, {options.format}, {len(out.getvalue()) / 2**20:.1f} MB")
    with transaction.atomic():
        name = f"benchmark-of-papers.{options.format}"
        with timed("read and compare"):
            row = preview(name=name, data=out.getvalue(), actor=ACTOR, now=timezone.now())
        with timed("apply"):
            done = apply(import_id=row.pk, seen=row.register_version, actor=ACTOR, now=timezone.now())
        assert done.assessment is not None
        for kind in ("csv", "md", "xlsx"):
            with timed(f"export {kind}"):
                export(done.assessment, kind, io.BytesIO())
        transaction.set_rollback(True)


if __name__ == "__main__":
    main()
