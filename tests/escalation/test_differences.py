"""What differs between two versions of a document."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apps.escalation.differences import Change, changes, lines
from apps.escalation.levels import delivered_data

TEXTS = st.text(alphabet="ab \n", max_size=60)


def told(before: str, after: str) -> list[tuple[str, str]]:
    return [(line.kind, " ".join(text for text, _ in line.parts)) for line in lines(before, after)]


def test_the_same_text_has_no_differences() -> None:
    assert lines("one\ntwo", "one\ntwo\n") == []


def test_the_words_that_changed_are_marked() -> None:
    found = lines("Within 24 hours of the report", "Within 12 hours of the report")
    assert [(line.kind, line.parts) for line in found] == [
        ("out", (("Within", False), ("24", True), ("hours of the report", False))),
        ("in", (("Within", False), ("12", True), ("hours of the report", False))),
    ]


def test_lines_with_nothing_in_common_are_not_marked_word_by_word() -> None:
    assert all(not changed for line in lines("all of this", "quite other words") for _, changed in line.parts)


def test_only_neighbours_of_what_changed_are_shown() -> None:
    before = "\n".join(f"line {number}" for number in range(20))
    after = before.replace("line 10", "line ten")
    assert told(before, after) == [
        ("gap", ""), ("same", "line 8"), ("same", "line 9"), ("out", "line 10"), ("in", "line ten"), ("same", "line 11"),
        ("same", "line 12"),
    ]  # fmt: skip
    numbers = [(line.left, line.right) for line in lines(before, after)]
    assert numbers[1:] == [(9, 9), (10, 10), (11, None), (None, 11), (12, 12), (13, 13)]


def test_data_is_compared_by_the_names_of_its_places() -> None:
    before, after = delivered_data(), delivered_data()
    after["levels"].reverse()
    after["levels"][-1]["threshold"] = "Now"
    after["rungs"] = [*before["rungs"], ["Administrator"]]
    found = changes(before, after)
    assert found[0] == Change("levels › 5 › threshold", "Immediate escalation", "Now")
    assert [one.where for one in found] == ["levels › 5 › threshold", "rungs"]
    assert changes({}, {"a": 1}) == [Change("everything", "{}", None), Change("a", None, "1")]


@given(TEXTS, TEXTS)
def test_what_is_shown_is_what_changed(before: str, after: str) -> None:
    old, new = before.splitlines(), after.splitlines()
    found = lines(before, after)
    assert bool(found) is (old != new)
    for line in found:
        text = " ".join(part for part, _ in line.parts)
        if line.left:
            assert old[line.left - 1] == text
        if line.right:
            assert new[line.right - 1] == text
