"""Empty sites, guesses of the ion, and what cannot be used."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("spglib")
pytest.importorskip("pymatgen")

from pymatgen.core import Molecule, Structure

from linegraph import Cell, InputError
from linegraph.hops import hops

from .. import crystals
from .test_hops import GAP, assert_same, cell_of, lengths, structure


def test_empty_sites_of_the_spinel() -> None:
    spinel = cell_of("LiMn2O4")
    short = hops(spinel, empty_sites=GAP, max_length=2.0)
    assert lengths(short) == [(1.785, 32)]
    assert short[0].label == "Li1-empty1-1"
    assert spinel.numbers[short[0].initial] == 3
    assert short[0].final >= len(spinel)
    # The way from 8a to 8a leads over 16c, so it is no longer one of its own.
    assert lengths(hops(spinel, empty_sites=GAP, max_length=4.0)) == [(1.785, 32), (2.915, 48)]
    everywhere = [hop.end for hop in short] + [[0.125, 0.375, 0.375], [0.625, 0.875, 0.375]]
    assert hops(spinel, empty_sites=everywhere, max_length=2.0) != []
    rounded = hops(spinel, empty_sites=[0.127, 0.124, 0.125], max_length=2.0)
    assert lengths(rounded) == lengths(short)


def test_all_empty_sites_of_a_kind_are_one_of_them() -> None:
    spinel = cell_of("LiMn2O4")
    found = hops(spinel, empty_sites=GAP, max_length=2.0)[0]
    ends = sorted({final for _, final, *_ in found.copies})
    assert ends == list(range(len(spinel), len(spinel) + 16))
    assert sorted(Counter(initial for initial, *_ in found.copies).values()) == [4] * 8


@pytest.mark.parametrize("times", [(2, 1, 1), (1, 2, 2)])
def test_empty_sites_in_a_supercell(times: tuple[int, int, int]) -> None:
    spinel = cell_of("LiMn2O4")
    large = crystals.supercell(spinel, times)
    found = hops(large, empty_sites=np.array(GAP) / times, max_length=3.0)
    plain = hops(spinel, empty_sites=GAP, max_length=3.0)
    assert [hop.label for hop in found] == [hop.label for hop in plain]
    count = int(np.prod(times))
    assert lengths(found) == [(length, count * many) for length, many in lengths(plain)]
    assert all(len(set(hop.copies)) == hop.multiplicity for hop in found)


def test_a_host_without_the_ion() -> None:
    host = cell_of("FePO4")
    found = hops(host, "Li", empty_sites=[[0, 0, 0]])
    assert lengths(found) == [(2.896, 4), (4.788, 4)]
    assert found[0].label == "empty1-empty1-1"
    assert min(found[0].initial, found[0].final) >= len(host)


def test_the_ion_is_guessed(tmp_path: Path) -> None:
    assert {hop.ion for hop in hops(cell_of("MgSc2S4"))} == {"Mg"}
    made = structure("NaCl")
    made.to(str(tmp_path / "salt.cif"))
    assert_same(hops(tmp_path / "salt.cif"), [(3.988, 24)])


def _disordered() -> Structure:
    made = structure("NaCl")
    made[0] = {"Na": 0.5}
    return made


SALT = Cell(5.64 * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5]], [11, 17])

BAD: dict[str, tuple[Any, dict[str, Any], str]] = {
    "two usual ions": (
        lambda: cell_of("LiAlO2"),
        {},
        "field ion: may be Li or Al; name the mobile",
    ),
    "no usual ion": (lambda: cell_of("FePO4"), {}, r"field ion: none of .* one of O, P, Fe"),
    "ion not there": (lambda: SALT, {"ion": "Li"}, "field ion: there is no Li in the structure"),
    "no element": (lambda: SALT, {"ion": "Na+"}, "field ion: 'Na\\+' is no element"),
    "partly occupied": (_disordered, {}, "field elements: site 0 .* partially occupied"),
    "molecule": (
        lambda: Molecule(["Li", "F"], [[0, 0, 0], [0, 0, 1.6]]),
        {},
        "Molecule is no struc",
    ),
    "no file": (lambda: "nothing.cif", {}, "nothing.cif: no such file"),
    "doubled site": (
        lambda: Cell(SALT.lattice, [[0, 0, 0], [0.99, 0, 1], [0.5] * 3], [11, 11, 17]),
        {},
        "field coords: atoms 0 and 1 are only 0.06 Å apart",
    ),
    "short": (lambda: SALT, {"max_length": 4.0}, "field max_length: no hop .* are 5.640 Å apart"),
    "negative": (lambda: SALT, {"max_length": -1.0}, "field max_length: expected more than 0"),
    "endless": (
        lambda: SALT,
        {"max_length": 1e9},
        "field max_length: .* at most 20 Å, got 1000000000.0",
    ),
    "symprec": (lambda: SALT, {"symprec": float("nan")}, "field symprec: expected more than 0"),
    "clearance": (lambda: SALT, {"clearance": -1.0}, "field clearance: expected 0 Å or more"),
    "empty on an atom": (
        lambda: SALT,
        {"empty_sites": [[0.25, 0.25, 0.25], [0.502, 0.5, 0.5]]},
        "field empty_sites: site 1, or .* only 0.00 Å from an atom",
    ),
    "empty on another": (
        lambda: SALT,
        {"empty_sites": [[0.25, 0.03, 0.0]]},
        "field empty_sites: site 0, or .* only 0.24 Å from another empty site",
    ),
    "two numbers": (
        lambda: SALT,
        {"empty_sites": [[0.5, 0.5]]},
        "field empty_sites: expected three",
    ),
    "words": (lambda: SALT, {"empty_sites": ["8a"]}, "field empty_sites: not an array of numbers"),
    "nan": (lambda: SALT, {"empty_sites": [[0.5, np.nan, 0]]}, "field empty_sites: expected three"),
}


@pytest.mark.parametrize(("make", "options", "message"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_used(make: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        hops(make(), **options)


def test_no_cell() -> None:
    atoms = pytest.importorskip("ase").Atoms("LiF", positions=[[0, 0, 0], [0, 0, 1.6]])
    with pytest.raises(InputError, match="field pbc: the structure is not periodic"):
        hops(atoms)
