"""Barriers of a potential in tables, for whoever predicts beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.errors import message_of
from training.files import write_csv
from training.neb.relax import NO_HOP
from training.neb.table import given_table, read_neb


def written(path: Path, columns: Sequence[str], *rows: Sequence[object]) -> Path:
    write_csv(path, columns, rows)
    return path


def test_a_table_of_any_origin(tmp_path: Path) -> None:
    columns = ("sys_name", "x", "m_eV", "n_eV")
    path = written(
        tmp_path / "t.csv", columns, ("a", 1, 0.5, ""), ("b", 2, None, 1), ("c", 3, 0, 2)
    )
    found = read_neb(path, "m_eV")
    assert found.barriers == {"a": 0.5, "c": 0.0}
    assert found.source == "m_eV of t.csv"
    assert found.of(["c", "b", "new", "a"]) == [0.0, None, None, 0.5]
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.as_dict(["a", "b", "d"]) == {"column": "m_eV", "sha256": sha256, "records": 1}
    assert read_neb(str(path), "n_eV").barriers == {"b": 1.0, "c": 2.0}
    assert given_table(path, "m_eV") == found
    assert given_table(None, None) is None


def test_the_folder_of_a_run(tmp_path: Path) -> None:
    columns = ("sys_name", "barrier_eV", "converged", "note", "calculator", "version")
    rows = [
        ("a", 0.5, True, "an end is the highest image", "chgnet", "chgnet 0.4"),
        ("b", 0.6, False, "", "chgnet", "chgnet 0.4"),
        ("c", 0.7, "", "", "chgnet", "chgnet 0.4"),
        ("d", 0.0, True, f"what not; {NO_HOP}", "chgnet", "chgnet 0.4"),
    ]
    written(tmp_path / "barriers.csv", columns, *rows)
    found = read_neb(tmp_path)
    assert (found.barriers, found.left_out) == ({"a": 0.5, "c": 0.7}, ("b", "d"))
    assert found.left_out_in_words == "2 not used: not converged, or both ends in one site"
    assert (found.path, found.column) == (tmp_path / "barriers.csv", "barrier_eV")
    assert found.source == "chgnet (chgnet 0.4)"
    other = written(
        tmp_path / "mixed.csv", columns, *rows, ("e", 0.1, True, "", "mace", "mace 0.3")
    )
    assert read_neb(other).source == "barrier_eV of mixed.csv"


def test_lengths_are_those_of_barriers_that_are_used(tmp_path: Path) -> None:
    columns = ("sys_name", "barrier_eV", "converged", "length_A", "calculator")
    rows = [("a", 0.5, "TRUE", 2.75, "mace"), ("b", 0.6, "No", "none", "mace")]
    rows += [("c", 0.7, "yes", "", "mace"), ("d", "", "", 3.0, "mace")]
    found = read_neb(written(tmp_path / "t.csv", columns, *rows))
    assert (found.barriers, found.left_out) == ({"a": 0.5, "c": 0.7}, ("b",))
    assert found.lengths == {"a": 2.75}
    # A calculator that does not tell its version.
    assert found.source == "mace"


def test_what_is_not_used_may_be_anything(tmp_path: Path) -> None:
    """A band that blew up has an absurd barrier, and costs nothing but that one."""
    columns = ("sys_name", "barrier_eV", "converged", "note")
    rows = [("a", 0.5, True, ""), ("b", 512.0, False, ""), ("c", -3, True, NO_HOP)]
    path = written(tmp_path / "t.csv", columns, *rows, ("d", "much", "no", ""))
    found = read_neb(path)
    assert (found.barriers, found.left_out) == ({"a": 0.5}, ("b", "c", "d"))
    written(path, columns, *rows, ("d", 512.0, True, ""))
    assert "record 'd' (line 5), field barrier_eV: expected" in message_of(lambda: read_neb(path))


def test_a_source_is_short_and_can_be_printed(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", ("sys_name", "m\u200b"), ("a", 1))
    assert read_neb(path, "m\u200b").source == r"'m\u200b of t.csv'"
    name = "m" * 400
    assert len(read_neb(written(path, ("sys_name", name), ("a", 1)), name).source) < 210


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        ("much", "expected a number, got 'much'"),
        ("nan", "'nan' is NaN or infinite: leave the cell empty where nothing is known"),
        (-0.1, "expected a barrier of 0 to 10 eV, got -0.1"),
        (450, "expected a barrier of 0 to 10 eV, got 450.0: is it in eV?"),
    ],
)
def test_what_is_no_barrier(cell: object, problem: str, tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", ("sys_name", "m_eV"), ("a", 0.5), ("b", cell))
    line = message_of(lambda: read_neb(path, "m_eV"))
    assert line == f"{path}, record 'b' (line 3), field m_eV: {problem}"


def test_tables_that_cannot_be_used(tmp_path: Path) -> None:
    columns = ("sys_name", "m_eV", "converged")
    path = written(tmp_path / "t.csv", columns, ("a", 0.5, True), ("a", 0.6, True))
    assert message_of(lambda: read_neb(path)) == (
        f"{path}, field barrier_eV: there is no such column (--neb-column names one: m_eV)"
    )
    line = message_of(lambda: read_neb(path, "m_eV"))
    assert line == f"{path}, record 'a' (line 3), field sys_name: the name is in line 2, too"
    # Nor may the first of two be empty.
    written(path, columns, ("a", "", True), ("a", 0.6, True))
    assert message_of(lambda: read_neb(path, "m_eV")) == line
    written(path, columns, ("a", 0.5, "perhaps"))
    line = message_of(lambda: read_neb(path, "m_eV"))
    assert line.endswith("field converged: expected true or false, got 'perhaps'")
    written(path, ("name", "m_eV"), ("a", 0.5))
    assert "field sys_name: there is no such column" in message_of(lambda: read_neb(path, "m_eV"))
    assert "is this the folder of a run of `neb`?" in message_of(lambda: read_neb(tmp_path))
    assert "cannot be read" in message_of(lambda: read_neb(tmp_path / "gone.csv"))
    assert "name that with --neb" in message_of(lambda: given_table(None, "m_eV"))
