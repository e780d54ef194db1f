"""Tables of others: columns and scales by a mapping, nothing lost."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from openpyxl import Workbook

from apps.core.decisions import system
from apps.register.models import Mitigation, Risk, RiskAssessment
from apps.register.papers.foreign import MappingNeeded, Suggestion
from apps.register.papers.importing import apply, preview
from apps.register.papers.reading import read
from apps.register.papers.refusals import BadPaper

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
HEAD = "réf.;nom;vraisemblance;gravité;mesures;mesures existantes;propriétaire;biens;traitement\n"
FRENCH = HEAD + (
    'R1;Fuite de données;très vraisemblable;critique;"chiffrer\nsurveiller";pare-feu;RSSI;"base\nfichiers";réduire\n'
    "R2;Panne;peu vraisemblable;mineur;;;;serveur;accepter\n"
    "R3;Erreur;certain;inédit;un; deux;;;\n"
)


def asked(data: bytes, name: str = "registre.csv") -> Suggestion:
    with pytest.raises(MappingNeeded) as needed:
        read(name, data)
    return needed.value.suggestion


def test_a_foreign_table_asks_for_a_mapping_with_a_guess() -> None:
    guess = asked(FRENCH.encode())
    assert guess.mapping.columns == {
        "réf.": "number", "nom": "title", "vraisemblance": "current.probability", "gravité": "current.impact",
        "mesures": "mitigations", "mesures existantes": "mitigations.done", "propriétaire": "owner_role",
        "biens": "note", "traitement": "treatment",
    }  # fmt: skip
    assert guess.mapping.scales["probability"] == {
        "très vraisemblable": "Likely", "peu vraisemblable": "Unlikely", "certain": "Almost certain",
    }  # fmt: skip
    assert guess.mapping.scales["impact"] == {"critique": "Severe", "mineur": "Minor", "inédit": ""}
    assert guess.mapping.matrix == "five-by-five v1"
    assert guess.samples["biens"] == ["base\nfichiers", "serveur"]


def test_french_rows_become_risks_and_what_has_no_step_is_listed() -> None:
    mapping = asked(FRENCH.encode()).mapping.as_json()
    row = preview(name="registre.csv", data=FRENCH.encode(), actor=system("test"), now=NOW, mapping=mapping)
    assert [(item["line"], item["text"]) for item in row.not_understood] == [
        (6, "Erreur: current Almost certain x inédit"),
    ]
    apply(import_id=row.pk, seen=row.register_version, actor=system("test"), now=NOW)
    leak = Risk.objects.get(title="Fuite de données")
    rating = leak.ratings.get()
    assert (rating.probability, rating.impact, rating.level) == (4, 5, "Very high")
    assert (leak.description, leak.owner_role, leak.treatment) == ("biens: base\nfichiers", "RSSI", "mitigate")
    assert list(leak.mitigations.values_list("title", "status", "progress")) == [
        ("chiffrer", "planned", 0), ("surveiller", "planned", 0), ("pare-feu", "done", 100),
    ]  # fmt: skip
    assert Risk.objects.get(title="Panne").treatment == "accept"
    assert RiskAssessment.objects.get().matrix.matrix.slug == "five-by-five"


def test_the_same_table_again_changes_nothing() -> None:
    mapping = asked(FRENCH.encode()).mapping.as_json()
    for _ in range(2):
        row = preview(name="registre.csv", data=FRENCH.encode(), actor=system("test"), now=NOW, mapping=mapping)
        apply(import_id=row.pk, seen=row.register_version, actor=system("test"), now=NOW)
    assert row.plan["counts"] == {"new": 0, "changed": 0, "unchanged": 3, "missing": 0}
    assert Mitigation.objects.count() == 5


def test_words_of_three_steps_stay_on_the_matrix_of_three() -> None:
    guess = asked(b"Risk,Likelihood,Impact\nFire,low,HIGH\nWater,Medium,medium\n")
    assert guess.mapping.matrix == "low-medium-high v1"
    assert guess.mapping.scales["probability"] == {"low": "Low", "Medium": "Medium"}


def sheets() -> bytes:
    book, out = Workbook(), io.BytesIO()
    first = book.active
    first.title = "Register"
    first.append(["Id", "Risk", "Proba", "Impact", "Next review", "Left", None])
    first.append([1, "Fire", 4.0, 5, date(2026, 5, 1), "x", "outside"])
    first.append([None, None, 1, 1, None, None])
    book.create_sheet("Other").append(["a", "b"])
    book.save(out)
    return out.getvalue()


def test_workbooks_are_read_and_all_that_is_left_out_is_listed() -> None:
    guess = asked(sheets(), "register.xlsx")
    assert (guess.mapping.sheet, guess.sheets) == ("Register", ["Register", "Other"])
    mapping = guess.mapping.as_json()
    mapping["columns"]["Left"] = ""
    paper = read("register.xlsx", sheets(), mapping)
    assert [(risk.title, risk.number, risk.next_review_on) for risk in paper.risks] == [("Fire", "1", "2026-05-01")]
    score = paper.risks[0].score()
    assert score is not None
    assert (score.probability, score.impact) == ("Likely", "Severe")
    assert {(item.line, item.text): item.why for item in paper.not_understood} == {
        (1, "Other: 1 rows"): "another sheet; one is imported at a time",
        (1, "Left: 1 cells"): "left out by the mapping",
        (2, "outside"): "a cell without a column",
        (3, "Register: 1 | 1"): "it has no title",
    }


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({}, "columns and scales"),
        ({"columns": {"nom": "owner"}}, "mapped to the title"),
        ({"columns": {"nom": "title", "biens": "password"}}, "mapped to password"),
        ({"columns": {"other": "title"}}, "none of the columns"),
        ({"columns": {"nom": "title"}, "sheet": "x"}, "no sheet 'x'"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused(mapping: dict[str, object], words: str) -> None:
    with pytest.raises(BadPaper, match=words):
        read("registre.csv", FRENCH.encode(), mapping)


def test_the_command_takes_a_mapping_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, mapping = tmp_path / "registre.csv", tmp_path / "mapping.json"
    table.write_text(FRENCH)
    with pytest.raises(CommandError):
        call_command("import_risks", str(table))
    guessed = capsys.readouterr().err
    assert '"nom": "title"' in guessed
    mapping.write_text(guessed[guessed.index("{") : guessed.rindex("}") + 1])
    assert json.loads(mapping.read_text())["matrix"] == "five-by-five v1"
    call_command("import_risks", str(table), mapping=mapping)
    assert Risk.objects.count() == 3
