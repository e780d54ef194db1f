"""What counts as a contradiction between two texts about the same, and what does not."""

from __future__ import annotations

from decimal import Decimal

import pytest

from apps.knowledge.contradictions import contradiction, figures

SAME = [
    ("You can return it within 14 days.", "You can return it within two weeks."),
    ("You can return it within 14 days.", "Returns are possible for 14 days. A refund takes 30 days."),
    ("Shipping costs €4.90.", "Shipping costs 4,90 EUR."),
    ("It takes 2 to 4 days.", "It takes between 2 and 4 days, or four days at most."),
    ("The price is 1,000 EUR.", "The price is 1000 EUR."),
    ("We ship to Norway.", "We ship to Norway and to Sweden."),
    ("You do not need an account.", "No account is needed."),
    ("Parcels arrive within 3 days.", "Call us for 2 hours each morning."),
    ("We answer within one working day.", "You can return it within 14 days."),
    ("It's not true that you can't cancel a running order.", "You can cancel a running order."),
    ("", ""),
]
DIFFERENT = [
    ("You can return articles within 14 days.", "You can return articles within 30 days.", "hour"),
    ("Returns are accepted for two weeks after delivery.", "Returns are accepted for 30 days after delivery.", "hour"),
    ("Shipping to Norway costs 9.90 EUR.", "Shipping to Norway costs €14.90.", "EUR"),
    ("We answer within 1 working day.", "We answer within 3 business days.", "working day"),
    ("The warranty lasts 2 years.", "The warranty lasts three years.", "year"),
    ("You get 10 % off the first order.", "You get 15% off the first order.", "percent"),
    ("Paid orders can be cancelled after shipping.", "Paid orders cannot be cancelled after shipping.", "no"),
    ("We don't deliver parcels on Saturdays.", "We deliver parcels on Saturdays.", "no"),
    ("Wir liefern Pakete nach Norwegen.", "Wir liefern Pakete nicht nach Norwegen.", "no"),
]


@pytest.mark.parametrize(("first", "second"), SAME)
def test_texts_that_agree_or_speak_of_other_things(first: str, second: str) -> None:
    assert contradiction(first, second) is None
    assert contradiction(second, first) is None


@pytest.mark.parametrize(("first", "second", "why"), DIFFERENT)
def test_texts_that_cannot_both_be_true(first: str, second: str, why: str) -> None:
    found, back = contradiction(first, second), contradiction(second, first)
    assert found is not None
    assert back is not None
    assert why in found.why
    assert (found.first, found.second) == (back.second, back.first)


def test_figures_are_read_with_their_units() -> None:
    text = "Two to 4 working days, 1.5 hours, 90 minutes, €1,234.50, 3 months, 12 %, 2-year warranty"
    assert figures(text) == {
        "working day": {Decimal(2), Decimal(4)},
        "hour": {Decimal("1.5")},
        "EUR": {Decimal("1234.5")},
        "month": {Decimal(3)},
        "percent": {Decimal(12)},
        "year": {Decimal(2)},
    }
    assert figures("Version 1.2.3.4 EUR of 7 dwarfs") == {}


def test_long_texts_are_compared_in_no_time() -> None:
    one, other = (f"Sentence about thing number {n} takes {n} days. " for n in (1, 502))
    assert contradiction(one * 2_000, other * 2_000) is not None
    many = [" ".join(f"Word{n} thing{n * add} costs {n} EUR." for n in range(3_000)) for add in (3, 7)]
    assert contradiction(*many) is None
