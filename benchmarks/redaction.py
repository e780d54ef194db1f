"""How much of what must not be kept is masked, how much else is masked with it, and how long that takes.

    python benchmarks/redaction.py --cases cases.jsonl --synth synth_dataset_v2.json --synth generated_large.json \
        --presidio /elsewhere/bin/python

Data: the literal cases of Presidio's own tests of its recognisers, and presidio-research's sentences with placed spans.
``--presidio`` names the Python of an environment of its own that has presidio-analyzer (``python -m venv /elsewhere`` and
``/elsewhere/bin/pip install presidio-analyzer``; it is no dependency of the product). It is given the same texts in the same
run. Presidio's recognisers are used without a language model, which finds names and towns and no kind that is compared here.

A span counts as found if four fifths of its characters are masked, by whatever kind: what matters is that it is gone. Masked
in vain is, of the characters outside every labelled span, the share that is masked; and of the cases that are none ("4012-
8888-8888-1882" is no card), the share in which something of the kind is masked.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from time import process_time
from typing import Any

Spans = list[tuple[int, int, str]]
LENGTH = 300  # characters for which the time is taken
KINDS = {
    "CREDIT_CARD": "card", "IBAN_CODE": "bank_account", "US_BANK_NUMBER": "bank_account", "ABA_ROUTING_NUMBER": "bank_account",
    "IP_ADDRESS": "ip_address", "MAC_ADDRESS": "ip_address", "PHONE_NUMBER": "phone", "EMAIL_ADDRESS": "email",
    "US_SSN": "national_id", "US_ITIN": "national_id", "US_PASSPORT": "national_id", "US_DRIVER_LICENSE": "national_id",
    "UK_NINO": "national_id", "UK_NHS": "national_id", "ES_NIF": "national_id", "ES_NIE": "national_id",
    "IT_FISCAL_CODE": "national_id", "PL_PESEL": "national_id", "IN_AADHAAR": "national_id", "CA_SIN": "national_id",
    "AU_TFN": "national_id", "FI_PERSONAL_IDENTITY_CODE": "national_id", "SE_PERSONNUMMER": "national_id",
    "DE_TAX_ID": "national_id", "UK_POSTCODE": "address", "STREET_ADDRESS": "address", "ADDRESS": "address",
    "ZIP_CODE": "zip code alone",
}  # fmt: skip


def covered(start: int, end: int, spans: Spans) -> bool:
    """Whether four fifths of a span are masked."""
    masked = sum(max(0, min(end, b) - max(start, a)) for a, b, _ in spans)
    return masked >= 0.8 * (end - start)


def kind_of(entity: str, text: str) -> str | None:
    """The kind that is reported. Parts of addresses ("Apt. 931", "583") are labelled as addresses in the sentences."""
    kind = KINDS.get(entity)
    if kind == "address" and entity != "UK_POSTCODE":
        whole = len(text.split()) >= 3 and any(char.isdigit() for char in text)
        return "address, whole" if whole else "address, parts alone"
    return kind


def of_cases(path: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [row for row in rows if not row["conflicting"] and row["entity"] in KINDS]


def of_synth(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text())
    return found


def judge_cases(rows: list[dict[str, Any]], spans: Sequence[Spans]) -> dict[str, list[int]]:
    """By entity: spans, found, cases that are none, and of those the ones in which something was masked."""
    table: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for row, found in zip(rows, spans, strict=True):
        of = table[row["entity"]]
        if row["expected_count"]:
            of[0] += len(row["expected_spans"])
            of[1] += sum(covered(start, end, found) for start, end in row["expected_spans"])
        else:
            of[2] += 1
            kind = KINDS[row["entity"]]
            of[3] += any(one in (kind, row["entity"]) for *_, one in found)
    return table


def judge_synth(rows: list[dict[str, Any]], spans: Sequence[Spans]) -> tuple[dict[str, list[int]], float]:
    """By kind: spans and found; and the share of other characters that is masked."""
    table: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    other = vain = 0
    for row, found in zip(rows, spans, strict=True):
        labelled: set[int] = set()
        for span in row["spans"]:
            start, end = span["start_position"], span["end_position"]
            labelled.update(range(start, end))
            if kind := kind_of(span["entity_type"], span["entity_value"]):
                table[kind][0] += 1
                table[kind][1] += covered(start, end, found)
        masked = {place for start, end, _ in found for place in range(start, end)}
        other += len(row["full_text"]) - len(labelled)
        vain += len(masked - labelled)
    return table, vain / max(other, 1)


def times(find: Callable[[str], object], texts: list[str]) -> str:
    """Processor time for texts of 300 characters."""
    joined = "\n".join(texts)
    pieces = [joined[place : place + LENGTH] for place in range(0, min(len(joined), LENGTH * 1_000) - LENGTH, LENGTH)]
    took = []
    for piece in pieces:
        began = process_time()
        find(piece)
        took.append((process_time() - began) * 1000)
    took.sort()
    places = ((0.5, "median"), (0.95, "p95"), (0.99, "p99"))
    return ", ".join(f"{name} {took[int(share * (len(took) - 1))]:.2f} ms" for share, name in places)


def ours() -> Callable[[str], Spans]:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from apps.core.redaction import spans_of

    return lambda text: [(span.start, span.end, span.kind) for span in spans_of(text)]


def presidio() -> Callable[[str], Spans]:
    """Presidio's English recognisers with their context words, without a language model."""
    import spacy  # type: ignore[import-not-found]
    from presidio_analyzer import AnalyzerEngine  # type: ignore[import-not-found]
    from presidio_analyzer.nlp_engine import SpacyNlpEngine  # type: ignore[import-not-found]

    class Plain(SpacyNlpEngine):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.nlp = {"en": spacy.blank("en")}

        def is_loaded(self) -> bool:
            return True

    engine = AnalyzerEngine(nlp_engine=Plain(), supported_languages=["en"])
    wanted = set(KINDS)
    return lambda text: [
        (one.start, one.end, one.entity_type)
        for one in engine.analyze(text, language="en")
        if one.entity_type in wanted
    ]


def all_spans(find: Callable[[str], Spans], texts: list[str]) -> list[Spans]:
    return [find(text) for text in texts]


def elsewhere(python: str, texts: list[str]) -> tuple[list[Spans], str]:
    """Presidio's spans and times, from its own environment."""
    command = [python, str(Path(__file__).resolve()), "--worker"]
    done = subprocess.run(
        command, input=json.dumps(texts), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
    )
    answer = json.loads(done.stdout.splitlines()[-1])
    return [[(a, b, kind) for a, b, kind in spans] for spans in answer["spans"]], answer["times"]


def worker() -> None:
    texts = json.load(sys.stdin)
    find = presidio()
    print(json.dumps({"spans": all_spans(find, texts), "times": times(find, texts)}))


def share(part: int, whole: int) -> str:
    return f"{part / whole:>6.1%}" if whole else "     –"


def show(title: str, tables: dict[str, dict[str, list[int]]]) -> None:
    """A table with one row for each kind and one column of recall for each program."""
    names = list(tables)
    print(f"\n{title}\n{'':<28}{'spans':>6} " + " ".join(f"{name:>9}" for name in names))
    for kind in sorted(tables[names[0]]):
        total = tables[names[0]][kind][0]
        cells = " ".join(f"{share(tables[name][kind][1], total):>9}" for name in names)
        print(f"{kind:<28}{total:>6} {cells}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=Path)
    parser.add_argument("--synth", type=Path, action="append", default=[])
    parser.add_argument("--presidio", help="Python of an environment with presidio-analyzer")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return worker()
    cases = of_cases(options.cases) if options.cases else []
    sets = [(path.name, of_synth(path)) for path in options.synth]
    texts = [row["text"] for row in cases] + [row["full_text"] for _, rows in sets for row in rows]
    find = ours()
    from apps.core.redaction import redact

    found = {"ours": (all_spans(find, texts), times(redact, texts[len(cases) :] or texts))}
    if options.presidio:
        found["presidio"] = elsewhere(options.presidio, texts)
    if cases:
        tables = {name: judge_cases(cases, spans[: len(cases)]) for name, (spans, _) in found.items()}
        show("Cases: spans that are masked", tables)
        for name, table in tables.items():
            none, wrong = sum(row[2] for row in table.values()), sum(row[3] for row in table.values())
            print(f"cases that are none: {name} masks {wrong} of {none} ({share(wrong, none).strip()})")
    place = len(cases)
    for title, rows in sets:
        judged = {name: judge_synth(rows, spans[place : place + len(rows)]) for name, (spans, _) in found.items()}
        show(f"{title}: spans that are masked", {name: table for name, (table, _) in judged.items()})
        for name, (_, vain) in judged.items():
            print(f"other characters that are masked: {name} {vain:.2%}")
        place += len(rows)
    print()
    for name, (_, took) in found.items():
        print(f"{LENGTH} characters: {name} {took}")


if __name__ == "__main__":
    main()
