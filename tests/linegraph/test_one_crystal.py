"""One crystal, one band for a hop, however the cell was chosen in which it is described."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

pytest.importorskip("spglib")
pytest.importorskip("pymatgen")

from pymatgen.core import Lattice, Structure

from linegraph import Cell
from linegraph.around import host_around
from linegraph.band_features import BAND_FEATURES, band_features
from linegraph.ensemble_file import load_ensemble
from linegraph.hops import Hop, hops
from linegraph.images import IMAGES
from linegraph.reading import as_cell
from linegraph.reversal import reversed_features
from linegraph.supercell import band_of

from .. import crystals
from .test_hops import GAP, cell_of, variants
from .test_superlattice import shortest, unimodular

#: Å; farther than from an ion to the vacancies of the next cells.
REACH = 12.0

#: Å; what the digits are worth that the coordinates are given with (0.333334).
_DIGITS = 1e-5
#: Of two atoms as far away the first is an accident, as is the digit that half a digit becomes.
_ACCIDENTAL = "electronegativity, middle"


def ilmenite() -> Structure:
    """Its lattice has mirrors that the crystal has not: superlattices are alike only by it."""
    return Structure.from_spacegroup(
        "R-3",
        Lattice.hexagonal(5.054, 13.898),
        ["Mg", "Ti", "O"],
        [[0, 0, 0.35557], [0, 0, 0.14512], [0.31591, 0.02146, 0.24635]],
    )


def signature(band: Cell, reach: float = REACH) -> list[NDArray[np.float64]]:
    """What each image has around itself: sorted rows of atomic number and distance."""
    found = []
    for near in host_around(band, IMAGES, reach):
        rows = np.column_stack([band.numbers[near.atom], near.distance])
        found.append(rows[np.lexsort((near.distance, rows[:, 0]))])
    return found


def same(one: Cell, other: Cell, atol: float = _DIGITS) -> bool:
    """Whether two bands are one, there or back."""
    if len(one) != len(other) or abs(shortest(one.lattice) - shortest(other.lattice)) > atol:
        return False
    first, second = signature(one), signature(other)
    return any(
        all(
            # Atoms at the end of the reach may be within it in one and not in the other.
            abs(len(a) - len(b)) < 9 and close(a, b, atol)
            for a, b in zip(first, way, strict=True)
        )
        for way in (second, second[::-1])
    )


def close(one: NDArray[np.float64], other: NDArray[np.float64], atol: float) -> bool:
    one, other = (rows[rows[:, 1] < REACH - 0.01] for rows in (one, other))
    return one.shape == other.shape and bool(np.abs(one - other).max() < atol)


def features_differ(one: Cell, other: Cell) -> NDArray[np.float64]:
    first = band_features(one)
    second = torch.tensor(band_features(other))
    ways = [np.nan_to_num(abs(first - way.numpy())) for way in (second, reversed_features(second))]
    least: NDArray[np.float64] = min(ways, key=lambda difference: float(difference.max()))
    return least


def by_length(cell: Cell, ion: str | None, **how: float) -> list[tuple[Hop, Cell]]:
    found = [(hop, band_of(cell, hop)) for hop in hops(cell, ion, **how)]
    return sorted(found, key=lambda pair: round(pair[0].length, 2))


def assert_one_crystal(
    cell: Cell, other: Cell, ion: str | None = None, atol: float = _DIGITS, **how: float
) -> None:
    """Each hop of one description has its like in the other, with the same band."""
    expected, found = by_length(cell, ion, **how), by_length(other, ion, **how)
    assert len(found) == len(expected)
    for hop, band in expected:
        at = [
            position
            for position, (its, theirs) in enumerate(found)
            if abs(its.length - hop.length) < 0.01 and same(band, theirs, atol)
        ]
        assert at, (hop, [(its, len(theirs)) for its, theirs in found])
        apart = features_differ(band, found.pop(at[0])[1])
        odd = {
            name: difference
            for name, difference in zip(BAND_FEATURES, apart.tolist(), strict=True)
            if difference > max(6e-4, 50 * atol) and _ACCIDENTAL not in name
        }
        assert not odd


@pytest.mark.parametrize("name", ["LiFePO4", "LiCoO2", "LiF", "Li3OCl", "LiMn2O4", "LiTi2(PO4)3"])
def test_the_same_band_in_any_cell(name: str) -> None:
    expected = cell_of(name)
    for what, made in variants(name).items():
        if "noisy" not in what:
            assert_one_crystal(expected, as_cell(made))


def test_the_same_barrier_in_any_cell() -> None:
    """By the weights that come with the package; of a crystal without ties of rounding."""
    ensemble = load_ensemble()
    others = variants("LiCoO2")
    expected = cell_of("LiCoO2")
    for what in ("primitive", "Niggli", "2 x 1 x 1", "steeply sheared", "rotated"):
        pairs = [by_length(cell, None) for cell in (expected, as_cell(others[what]))]
        said = [ensemble.predict([band for _, band in pair]) for pair in pairs]
        values = [[barrier.value for barrier in barriers] for barriers in said]
        np.testing.assert_allclose(values[0], values[1], atol=1e-4, err_msg=what)


def test_where_the_lattice_has_more_symmetry_than_the_crystal() -> None:
    made = ilmenite()
    expected = as_cell(made)
    for other in (made.get_primitive_structure(), made.get_reduced_structure()):
        assert_one_crystal(expected, as_cell(other), "Mg")
    # A mirror image of the crystal is as good as the crystal.
    mirrored = Cell(expected.lattice * [-1, 1, 1], expected.frac, expected.numbers)
    assert_one_crystal(expected, mirrored, "Mg")


@pytest.mark.parametrize("seed", range(6))
def test_crystals_without_symmetry(seed: int) -> None:
    """On lattices with and without symmetry of their own."""
    rng = np.random.default_rng(seed)
    lattice = [np.eye(3), crystals.fcc(1.6).lattice, np.diag([1, 1, 1.3])][seed % 3] * 4.3
    numbers = [3, 3, 8, 9, 26]
    cell = Cell(lattice, rng.uniform(size=(5, 3)), numbers)
    while crystals.every_neighbor(cell, 1.0).distance.size:
        cell = Cell(lattice, rng.uniform(size=(5, 3)), numbers)
    rows, order = unimodular(seed), rng.permutation(5)
    frac = (cell.frac @ np.linalg.inv(rows) + rng.uniform(size=3))[order]
    other = Cell(rows @ lattice @ crystals.rotation(seed), frac, cell.numbers[order])
    assert_one_crystal(cell, other, "Li", max_length=4.0)
    assert_one_crystal(cell, crystals.supercell(other, (1, 2, 1)), "Li", max_length=4.0)


@pytest.mark.parametrize("name", ["LiFePO4", "LiCoO2", "LiMn2O4", "Li3N", "ilmenite"])
def test_hops_that_symmetry_makes_one(name: str) -> None:
    """Any of its copies has the band of the one that is shown."""
    cell = as_cell(ilmenite()) if name == "ilmenite" else cell_of(name)
    for hop in hops(cell, "Mg" if name == "ilmenite" else None)[:3]:
        band = band_of(cell, hop)
        for initial, final, *image in hop.copies[1:6]:
            start, end = cell.frac[initial], cell.frac[final] + image
            x, y, z = ((end - start) @ cell.lattice).tolist()
            a, b, c = image
            copy = replace(
                hop,
                initial=initial,
                final=final,
                image=(a, b, c),
                vector=(x, y, z),
                start=tuple(start.tolist()),
                end=tuple(end.tolist()),
            )
            assert same(band, band_of(cell, copy))


def test_over_an_empty_site() -> None:
    """The ions that make room are taken out of the same places."""
    spinel = cell_of("LiMn2O4")
    for origin, name in ((np.zeros(3), "primitive"), (np.array([0.137, -0.291, 0.418]), "moved")):
        other = variants("LiMn2O4")["primitive" if name == "primitive" else "other order"]
        given = as_cell(other)
        given = Cell(given.lattice, given.frac + origin, given.numbers)
        place = np.array(GAP) @ spinel.lattice @ np.linalg.inv(given.lattice) + origin
        expected = hops(spinel, empty_sites=GAP)
        found = hops(given, empty_sites=place)
        assert len(expected) == len(found) >= 2
        for one, two in zip(expected, found, strict=True):
            band, its = band_of(spinel, one), band_of(given, two)
            assert same(band, its)
            assert np.count_nonzero(band.numbers == 3) == np.count_nonzero(its.numbers == 3)


def test_noise_changes_little() -> None:
    """A supercell of which the atoms are a thousandth of an Å off is still the same crystal."""
    assert_one_crystal(
        cell_of("LiFePO4"),
        as_cell(variants("LiFePO4")["noisy supercell"]),
        atol=0.02,
        max_length=3.5,
    )
