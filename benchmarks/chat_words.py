"""What the bot's fixed patterns take messages for, and which of those that ask for an order or a person they recognise.

    python -m benchmarks.chat_words --data FOLDER

Messages and their intents come from ``clinc150``, ``banking77`` and ``hint3`` below the folder (public data that is not part of
the product). Needs no database. Each figure is printed as one line of JSON, with the intents of what was taken.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

Message = tuple[str, str]
TRULY = {"order": {"order_status", "ORDER_STATUS"}, "wish": {"CHAT_WITH_AGENT"}}
"""Intents that mean it; others may mean it, too."""


def read(path: Path) -> Iterator[Message]:
    """Text and intent of each row; the columns differ, the intent follows the text."""
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            names = list(row)
            place = names.index("text") if "text" in names else 0
            yield row[names[place]] or "", row[names[place + 1]] or ""


def collections(data: Path) -> dict[str, list[Message]]:
    hint3 = sorted((data / "hint3").rglob("*.csv"))
    return {
        "clinc150": list(read(data / "clinc150" / "clinc150.csv")),
        "banking77": list(read(data / "banking77" / "train.csv")),
        "hint3": [one for path in hint3 for one in read(path)],
    }


def measure(data: Path) -> None:
    from apps.chat.bot import smalltalk, wishes
    from apps.chat.bot.language import detected

    kinds: dict[str, Callable[[str], object]] = {
        "german": lambda text: detected(text) == "de",
        "english": lambda text: detected(text) == "en",
        "wish": wishes.wants_person,
        "anger": wishes.is_angry,
        "order": wishes.wants_order,
        "subscription": wishes.wants_subscription,
        "hours": lambda text: wishes.says("hours", text),
        "small_talk": smalltalk.kind_of,
    }
    for name, rows in collections(data).items():
        begun = time.process_time()
        for kind, taken in kinds.items():
            found = [intent for text, intent in rows if taken(text)]
            facts = {"messages": len(rows), "taken": len(found), "intents": dict(Counter(found).most_common(6))}
            if meant := [text for text, intent in rows if intent in TRULY.get(kind, ())]:
                facts["recall"] = round(sum(bool(taken(text)) for text in meant) / len(meant), 3)
            print(json.dumps({"data": name, "kind": kind, **facts}), flush=True)
        each = (time.process_time() - begun) / len(rows) * 1e3
        print(json.dumps({"data": name, "cpu_ms_each": round(each, 3)}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    measure(options.data)


if __name__ == "__main__":
    main()
