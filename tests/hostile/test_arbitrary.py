"""Whatever a file says, hypothesis included: plain values, structures, or an error of one line."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from linegraph.errors import InputError
from linegraph.reading import as_cell
from linegraph.structure import Cell
from training.bands import Band
from training.records import read_records
from training.yamlfile import DEEPEST, parse_yaml

from .absurd import cif, record

pytest.importorskip("pymatgen", reason="structures need pymatgen")

#: The same examples each time, as a failure has to be found again; files are written over.
QUICKLY = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

JSON: SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)

#: What YAML is made of.
WORDS = st.sampled_from([
    "a", "b: ", ": ", "- ", "\n", "\n  ", "[", "]", "{", "}", ", ", "? ", "| ", ">", "'", '"', "#",
    "&x ", "*x", "<<: ", "!!int ", "!!set ", "!!binary ", "!!python/name:os.system ",
    "!!timestamp ", "1", "0x", "1e9", ".nan", "2001-01-01", "2001-99-99", "1:2", "~", "yes",
    "---\n", "...", "%YAML", "\t", "\\", "\ufeff", "\x00",
])  # fmt: skip

PLAIN = (dict, list, tuple, set, str, bytes, int, float, type(None), datetime.date)


def _is_plain(value: Any, depth: int = 0) -> bool:
    if isinstance(value, dict):
        inner = [*value.keys(), *value.values()]
    else:
        inner = list(value) if isinstance(value, list | tuple | set) else []
    deep = depth <= 2 * DEEPEST and all(_is_plain(one, depth + 1) for one in inner)
    return isinstance(value, PLAIN) and deep


@QUICKLY
@given(st.text() | st.lists(WORDS, max_size=12).map("".join))
@example("a: &x [1, *x]")
@example("[" * 60)
@example("a: !!int ''")
@example("!!python/object/apply:os.getcwd []")
def test_yaml_is_plain_values_or_an_error_of_one_line(text: str) -> None:
    try:
        found, error = parse_yaml(text), ""
    except ValueError as caught:
        found, error = None, str(caught) or "no message"
    assert _is_plain(found)
    assert error.splitlines() in ([], [error])
    assert error != "no message"


@QUICKLY
@given(JSON)
def test_what_yaml_shares_with_json_is_read_alike(value: Any) -> None:
    """As far as YAML has the same numbers and characters."""
    text = json.dumps(value, allow_nan=True)
    plain = not any(word in text for word in ("NaN", "Infinity", "e", "\\ud", "\\u00"))
    if plain:
        assert parse_yaml(text) == value


def _in(path: Path, read: Callable[[Path], Any]) -> Any:
    """What is read; None after an error, which names the file and is of one line."""
    try:
        return read(path)
    except InputError as error:
        message = str(error)
    assert path.name in message
    assert message.isprintable()
    return None


_KEYS = st.sampled_from(["sys_name", "jid", "target", "atoms", "class", "system", "atoms_ini", "x"])
_ATOMS = st.sampled_from(["lattice_mat", "coords", "elements", "cartesian", "abc"])


@st.composite
def records(draw: st.DrawFn) -> Any:
    """A list of records of which a few values are anything."""
    found = [record() for _ in range(draw(st.integers(1, 3)))]
    for one in found:
        one.update(draw(st.dictionaries(_KEYS, JSON, max_size=2)))
        if isinstance(one["atoms"], dict):
            one["atoms"] = {**one["atoms"], **draw(st.dictionaries(_ATOMS, JSON, max_size=1))}
    return draw(st.just(found) | JSON.map(lambda value: [*found, value]) | JSON)


@QUICKLY
@given(records())
@example([record(), {**record(), "sys_name": "other"}])
def test_records_are_bands_or_errors(tmp_path: Path, document: Any) -> None:
    path = tmp_path / "bands.json"
    path.write_text(json.dumps(document), "utf-8")
    found = _in(path, lambda path: list(read_records(path)[1]))
    for one in found or ():
        assert isinstance(one, Band | InputError)
        if isinstance(one, Band):
            assert one.name.isprintable()
            assert one.target is None or math.isfinite(one.target)
            _check(one.structures[0])
        else:
            assert path.name in str(one) and str(one).isprintable()
    assert found is None or len(found) == len(document)


def _check(cell: Cell) -> None:
    assert np.isfinite(cell.lattice).all() and np.isfinite(cell.frac).all()
    assert abs(np.linalg.det(cell.lattice)) > 0
    assert cell.numbers.min() > 0


#: Numbers as they are, and as nobody measures them.
_NUMBERS = st.floats(0.1, 30) | st.sampled_from([
    "?", ".", "nan", "inf", "1e999", "5.1(2)", "-3", "0", "1/3", "1e-9", "''", "x", "_cell", "#",
])  # fmt: skip
_LENGTHS = st.tuples(_NUMBERS, st.floats(3, 9), st.floats(3, 9))
_ANGLES = st.tuples(st.floats(0, 180) | _NUMBERS, st.just(90), st.just(90))
_SITE = st.tuples(
    st.sampled_from(["Li", "O", "Cl-", "Xx", "D", "'Li O'", "?"]), _NUMBERS, st.floats(-9, 9),
    st.floats(-2, 2),
)  # fmt: skip
_OPERATIONS = st.sampled_from(
    ["-x, -y, -z", "x+1/2, y, z", "x, y", "1/0, y, z", "y, x, z", "", "q"]
)


@pytest.mark.filterwarnings("ignore:.*(CIF|parsed).*")
@QUICKLY
@given(
    _LENGTHS | st.just((5, 5, 5)), _ANGLES | st.just((90, 90, 90)),
    st.lists(_SITE, max_size=4) | st.just([("Li", 0, 0, 0), ("Cl", 0.5, 0.5, 0.5)]),
    st.lists(_OPERATIONS, max_size=2),
)  # fmt: skip
def test_a_cif_is_a_structure_or_an_error(
    tmp_path: Path, lengths: Any, angles: Any, sites: Any, operations: list[str]
) -> None:
    path = tmp_path / "a.cif"
    path.write_text(cif(lengths, angles, sites, ["x, y, z", *operations]), "utf-8")
    if (cell := _in(path, as_cell)) is not None:
        _check(cell)
