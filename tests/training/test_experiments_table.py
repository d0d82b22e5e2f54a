"""The table of measured migration enthalpies: facts, so what can go wrong is a slip of the pen."""

from __future__ import annotations

import csv
import gzip
import json
import re
from pathlib import Path

import pytest

import training
from tests.goldens import SHARED, needs_data

TABLE = Path(training.__file__).parent / "judging" / "experiments.csv"
COLUMNS = [
    "compound", "ion", "enthalpy_eV", "method", "source", "doi", "checked", "record", "note",
]  # fmt: skip
#: As section S1 of the paper's supplement lists them, in its order.
COMPOUNDS = [
    "LiVPO4F", "LiCoO2", "LiFePO4", "Mg0.148Ti2S4", "MgSc2Se4", "Na3PS4", "LiMn2O4", "LiCoPO4",
    "O3-NaCoO2", "Li10GeP2S12", "Na3PSe4", "Na3V2(PO4)3", "LiGe2(PO4)3", "d-LiV2O5", "Li7P3S11",
]  # fmt: skip
#: What a kJ/mol is in eV: one over the Faraday constant in kC/mol.
KJ_PER_MOL = 1 / 96.485

Row = dict[str, str]


def elements(formula: str) -> set[str]:
    """Of a compound. The O of the stacking in O3-NaCoO2 is no oxygen."""
    return set(re.findall("[A-Z][a-z]?", re.sub("^O3-", "", formula)))


@pytest.fixture(scope="module")
def header_and_rows() -> tuple[list[str], list[Row]]:
    with TABLE.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream, strict=True)
        rows = list(reader)
    return list(reader.fieldnames or []), rows


@pytest.fixture(scope="module")
def rows(header_and_rows: tuple[list[str], list[Row]]) -> list[Row]:
    return header_and_rows[1]


@pytest.fixture(scope="module")
def measured(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["enthalpy_eV"]]


@pytest.fixture(scope="module")
def atoms() -> dict[str, list[str]]:
    """Elements of the atoms of all published bands by name, the ion first."""
    found = {}
    for name in ("train.json.gz", "test.json.gz"):
        with gzip.open(SHARED / "data" / "barriers" / name) as stream:
            found |= {
                record["sys_name"]: record["atoms"]["elements"] for record in json.load(stream)
            }
    return found


def test_columns_are_as_promised_and_every_line_has_all_of_them(
    header_and_rows: tuple[list[str], list[Row]],
) -> None:
    header, rows = header_and_rows
    assert header == COLUMNS
    for row in rows:
        assert None not in row and None not in row.values(), row


def test_the_fifteen_compounds_of_the_supplement_stand_in_its_order(rows: list[Row]) -> None:
    assert [row["compound"] for row in rows] == COMPOUNDS


def test_every_compound_holds_its_ion(rows: list[Row]) -> None:
    for row in rows:
        assert row["ion"] in elements(row["compound"]), row["compound"]


def test_every_line_names_a_source_with_its_year_and_says_something(rows: list[Row]) -> None:
    for row in rows:
        assert re.search(r"\d+, \d+ \((19|20)\d\d\)$", row["source"]), row["source"]
        assert row["note"].endswith("."), row["compound"]
        assert re.fullmatch(r"(10\.\d{4,}/\S+)?", row["doi"]), row["doi"]


def test_every_number_has_a_method_a_doi_and_says_how_it_was_checked(measured: list[Row]) -> None:
    assert measured
    for row in measured:
        assert row["method"] and row["doi"], row["compound"]
        assert row["checked"] in {"search", "memory"}, row["compound"]
        assert 0.05 < float(row["enthalpy_eV"]) < 2, "an enthalpy of migration in eV"


def test_no_number_is_its_own_fact(rows: list[Row]) -> None:
    for row in rows:
        if not row["enthalpy_eV"]:
            assert row["note"].startswith("Not known"), row["compound"]
            assert not row["method"] and not row["checked"], row["compound"]


def test_numbers_given_in_other_units_are_converted_rightly(measured: list[Row]) -> None:
    given = r"(?P<kj>[\d.]+) kJ/mol divided by 96\.485\.|(?P<mev>\d+) \+/- \d+ meV"
    checked = []
    for row in measured:
        if found := re.match(given, row["note"]):
            kj, mev = found["kj"], found["mev"]
            expected = float(kj) * KJ_PER_MOL if kj else float(mev) / 1000
            assert float(row["enthalpy_eV"]) == pytest.approx(expected, abs=5e-4), row["compound"]
            checked.append(row["compound"])
    assert checked == ["Mg0.148Ti2S4", "MgSc2Se4", "Na3PS4", "Li7P3S11"]


@needs_data
def test_records_are_bands_of_the_same_ion_in_the_same_elements(
    rows: list[Row], atoms: dict[str, list[str]]
) -> None:
    named = [row for row in rows if row["record"]]
    assert named
    for row in named:
        found = [symbol.strip() for symbol in atoms[row["record"]]]
        assert found[0] == row["ion"], row["compound"]
        assert set(found) == elements(row["compound"]), row["compound"]


@needs_data
def test_a_line_without_record_says_that_there_is_none_or_names_several(
    rows: list[Row], atoms: dict[str, list[str]]
) -> None:
    for row in rows:
        if not row["record"]:
            named = [name for name in atoms if re.search(rf"\b{re.escape(name)}\b", row["note"])]
            none = "No record of this compound" in row["note"]
            assert none or len(named) > 1, row["compound"]
            same = [name for name in atoms if name.startswith(row["compound"])]
            assert sorted(named) == sorted(same), row["compound"]
