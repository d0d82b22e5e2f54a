"""Distinct hops of crystals with known answers, against all pairs compared one by one."""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

pytest.importorskip("spglib")
pytest.importorskip("pymatgen")

from pymatgen.core import Lattice, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from linegraph import Cell
from linegraph.hops import Hop, hops
from training.starter import COMPOUNDS
from training.starter.build import Crystal, conventional_cell
from training.starter.records import load_compounds

from .. import crystals

STARTER = {compound.name: compound for compound in load_compounds(COMPOUNDS)}

#: 16c of the spinel with the lithium of 8a at the origin (choice 1).
GAP = [[0.125, 0.125, 0.125]]


@cache
def crystal_of(name: str) -> Crystal:
    return conventional_cell(STARTER[name])


def structure(name: str) -> Structure:
    """A crystal of the starter set, in its conventional cell."""
    crystal = crystal_of(name)
    return Structure(crystal.lattice, crystal.elements, crystal.frac)


def cell_of(name: str) -> Cell:
    made = structure(name)
    return Cell(made.lattice.matrix, made.frac_coords, made.atomic_numbers)


def lengths(found: list[Hop]) -> list[tuple[float, int]]:
    return [(round(hop.length, 3), hop.multiplicity) for hop in found]


def assert_same(found: list[Hop], expected: list[tuple[float, int]]) -> None:
    """Lengths within 0.002 Å, multiplicities exactly."""
    assert len(found) == len(expected), lengths(found)
    np.testing.assert_allclose(sorted(lengths(found)), expected, rtol=0, atol=2e-3)


def brute_force(structure: Structure, ion: str, max_length: float) -> list[tuple[float, int]]:
    """Length and number of the pairs that operations of the space group make one hop."""
    frac = [site.frac_coords for site in structure if site.specie.symbol == ion]
    cell = Cell(structure.lattice.matrix, frac, np.ones(len(frac)))
    found = crystals.every_neighbor(cell, max_length)
    operations = SpacegroupAnalyzer(structure).get_space_group_operations()

    def key(start: NDArray[np.float64], end: NDArray[np.float64]) -> tuple[int, ...]:
        """Ends in whole thousandths, the first in the cell, of both directions the smaller."""
        ways = []
        for one, other in ((start, end), (end, start)):
            home = np.floor(one + 1e-5)
            ways.append(tuple(np.rint(1e3 * np.concatenate([one - home, other - home])).tolist()))
        return min(ways)

    left = {}
    for i, j, image, distance in zip(*found, strict=True):
        left[key(cell.frac[i], cell.frac[j] + image)] = (i, j, image, distance)
    classes = []
    while left:
        i, j, image, distance = next(iter(left.values()))
        same = {
            key(op.operate(cell.frac[i]), op.operate(cell.frac[j] + image)) for op in operations
        }
        assert same <= set(left)
        left = {pair: ends for pair, ends in left.items() if pair not in same}
        classes.append((round(float(distance), 3), len(same)))
    return sorted(classes)


KNOWN: dict[str, tuple[str, float, list[tuple[float, int]]]] = {
    "olivine, along b": ("LiFePO4", 3.5, [(3.005, 4)]),
    "olivine, along c": ("LiFePO4", 5.0, [(3.005, 4), (4.692, 4)]),
    "layered, in the plane": ("LiCoO2", 3.5, [(2.816, 9)]),
    "spinel": ("LiMn2O4", 5.0, [(3.570, 16)]),
    "anti-perovskite": ("Li3OCl", 3.0, [(2.765, 12)]),
    "garnet": ("Li3Nd3Te2O12", 4.0, [(3.844, 48)]),
    "rock salt": ("NaCl", 5.0, [(3.988, 24)]),
}


@pytest.mark.parametrize(("name", "longest", "expected"), KNOWN.values(), ids=KNOWN.keys())
def test_known_crystals(name: str, longest: float, expected: list[tuple[float, int]]) -> None:
    assert_same(hops(cell_of(name), max_length=longest), expected)


def test_face_centred_crystal() -> None:
    hop, *_ = hops(crystals.fcc(4.0))
    assert hop.multiplicity == 6
    assert hop.length == pytest.approx(np.sqrt(8))
    assert (hop.initial, hop.final) == (0, 0)
    # The nearest cell first, not one of those that lie in two directions.
    assert (hop.image, hop.vector) == ((1, 0, 0), pytest.approx((0.0, 2.0, 2.0)))
    assert hops(crystals.fcc(4.0), max_length=3.0) == [hop]


def test_a_chain_of_one_site_hops_to_its_own_images() -> None:
    chain = Cell(np.diag([9.0, 3.0, 11.0]), [[0.2, 0.1, 0.3]], [3])
    (hop,) = hops(chain)
    assert (hop.image, hop.multiplicity) == ((0, 1, 0), 1)
    np.testing.assert_allclose(hop.vector, [0, 3, 0], atol=1e-12)
    np.testing.assert_allclose(hop.end, [0.2, 1.1, 0.3])


def test_a_hop_over_another_site_is_left_out() -> None:
    chain = Cell(np.diag([9.0, 2.0, 11.0]), [[0.2, 0.1, 0.3]], [3])
    assert lengths(hops(chain)) == [(2.0, 1)]
    assert lengths(hops(chain, max_length=6.0, clearance=0.0)) == [(2.0, 1), (4.0, 1), (6.0, 1)]
    # Every second site is 0.8 Å, then 1.2 Å, off the line between its neighbours.
    for off, expected in ((0.8, [2.154]), (1.2, [2.332, 4.0])):
        zigzag = Cell(np.diag([9.0, 4.0, 11.0]), [[0, 0, 0], [off / 9, 0.5, 0]], [3, 3])
        assert [hop.length for hop in hops(zigzag)] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(("part", "expected"), [(2.97, [2.97, 3.0]), (2.93, [2.93])])
def test_a_part_as_long_as_the_hop_is_none(part: float, expected: list[float]) -> None:
    """Of two hops of one length, noise would make one the sum of the other and a very short one."""
    places = np.array([[0, 0, 0], [3, 0, 0], [np.sqrt(part**2 - 0.64), 0.8, 0]])
    cell = Cell(np.diag([9.0, 10.0, 11.0]), places / [9, 10, 11], [3, 3, 3])
    found = [hop.length for hop in hops(cell)]
    assert [length for length in found if length > 1] == pytest.approx(expected)


def test_what_a_hop_says() -> None:
    cell = cell_of("LiFePO4")
    hop = hops(cell, "Li")[0]
    assert (hop.label, hop.ion) == ("Li1-Li1-1", "Li")
    np.testing.assert_allclose(hop.start, cell.frac[hop.initial])
    np.testing.assert_allclose(hop.end, cell.frac[hop.final] + hop.image)
    np.testing.assert_allclose(
        hop.vector, (np.array(hop.end) - hop.start) @ cell.lattice, atol=1e-12
    )
    assert np.abs(hop.vector).round(3).tolist() == [0, 3.005, 0]
    assert hop.copies[0] == (hop.initial, hop.final, *hop.image)
    with pytest.raises(AttributeError):
        hop.length = 3.0  # type: ignore[misc]


def test_labels_count_by_kind_and_length() -> None:
    found = hops(cell_of("Li3N"), max_length=3.7)
    assert [hop.label for hop in found] == ["Li2-Li2-1", "Li1-Li2-1", "Li1-Li1-1", "Li2-Li2-2"]
    assert [hop.length for hop in found] == sorted(hop.length for hop in found)


ORACLE = ["LiFePO4", "LiCoO2", "LiMn2O4", "Li3OCl", "Li3N", "LiAlO2", "LiF", "LiC6", "NaFePO4"]


@pytest.mark.parametrize("name", ORACLE)
def test_against_all_pairs_and_operations(name: str) -> None:
    ion = "Na" if name == "NaFePO4" else "Li"
    made = structure(name)
    found = hops(made, ion, max_length=6.2, clearance=0.0)
    assert_same(found, brute_force(made, ion, 6.2))


#: Low and high, with and without inversion, centring, screw axes and glide planes.
GROUPS = [
    "P1",
    "P-1",
    "P2_1/c",
    "C2/c",
    "Pna2_1",
    "Fddd",
    "I-4",
    "P4_12_12",
    "R3c",
    "P6_122",
    "P-43n",
]


@pytest.mark.parametrize("group", GROUPS)
def test_sites_in_general_position(group: str) -> None:
    seed = GROUPS.index(group)
    rng = np.random.default_rng(seed)
    lattice = {
        "P1": Lattice.from_parameters(6.1, 6.8, 7.4, 80, 95, 110),
        "P-1": Lattice.from_parameters(6.1, 6.8, 7.4, 80, 95, 110),
        "P2_1/c": Lattice.monoclinic(7.1, 8.2, 6.3, 105),
        "C2/c": Lattice.monoclinic(10.1, 8.2, 7.3, 105),
        "Pna2_1": Lattice.orthorhombic(7.1, 8.3, 9.2),
        "Fddd": Lattice.orthorhombic(11.1, 13.3, 15.2),
        "I-4": Lattice.tetragonal(8.1, 9.3),
        "P4_12_12": Lattice.tetragonal(8.1, 9.3),
        "R3c": Lattice.hexagonal(9.1, 13.3),
        "P6_122": Lattice.hexagonal(9.1, 13.3),
        "P-43n": Lattice.cubic(12.1),
    }[group]
    while True:
        made = Structure.from_spacegroup(group, lattice, ["Li", "Li", "O"], rng.random((3, 3)))
        near = made.distance_matrix + 9 * np.eye(len(made))
        if near.min() > 1.0:
            break
    found = hops(made, max_length=5.0, clearance=0.0)
    assert_same(found, brute_force(made, "Li", 5.0))
    assert all(len(set(hop.copies)) == hop.multiplicity for hop in found)


@pytest.mark.parametrize("seed", range(4))
def test_copies_are_all_pairs(seed: int) -> None:
    """Any number of atoms without symmetry, or a supercell of them: no hop is lost or doubled."""
    cell = crystals.supercell(crystals.random_cell(seed, 3), (1, 1 + seed % 2, 2))
    cell = Cell(cell.lattice, cell.frac, np.where(np.arange(len(cell)) % 3 == 2, 8, 3))
    found = hops(cell, max_length=4.5, clearance=0.0)
    ours = Counter(copy for hop in found for copy in hop.copies)
    assert set(ours.values()) == {1}
    lithium = np.flatnonzero(cell.numbers == 3)
    pairs = crystals.every_neighbor(Cell(cell.lattice, cell.frac[lithium], lithium * 0 + 3), 4.5)
    both = {
        (int(lithium[i]), int(lithium[j]), *image.tolist())
        for i, j, image in zip(pairs.center, pairs.neighbor, pairs.image, strict=True)
    }
    assert set(ours) | {(j, i, -a, -b, -c) for i, j, a, b, c in ours} == both
    assert 2 * len(ours) == len(both)


def sheared(made: Structure, rows: ArrayLike) -> Structure:
    """The same crystal with other lattice vectors, of the same or of a larger cell."""
    return made.copy().make_supercell(np.array(rows), to_unit_cell=False)


def variants(name: str) -> dict[str, Structure]:
    made = structure(name)
    rng = np.random.default_rng(5)
    order = rng.permutation(len(made))
    turned = Structure(made.lattice.matrix @ crystals.rotation(3), made.species, made.frac_coords)
    moved = made.frac_coords + [0.137, -0.291, 0.418] + rng.integers(-2, 3, (len(made), 3))
    double = sheared(made, np.diag([1, 2, 1]))
    shaken = double.cart_coords + rng.uniform(-1e-3, 1e-3, (len(double), 3))
    return {
        "2 x 1 x 1": sheared(made, np.diag([2, 1, 1])),
        "1 x 2 x 3": sheared(made, np.diag([1, 2, 3])),
        "sheared supercell": sheared(made, [[1, 1, 0], [-1, 1, 0], [3, 1, 1]]),
        "steeply sheared": sheared(made, [[1, 0, 0], [12, 1, 0], [0, -9, 1]]),
        "left-handed": sheared(made, [[0, 1, 0], [1, 0, 0], [0, 0, 1]]),
        "other origin, not wrapped": Structure(made.lattice, made.species, moved),
        "other order": Structure.from_sites([made[int(i)] for i in order]),
        "rotated": turned,
        "Niggli": made.get_reduced_structure("niggli"),
        "primitive": made.get_primitive_structure(),
        "noisy supercell": Structure(
            double.lattice, double.species, shaken, coords_are_cartesian=True
        ),
    }


@pytest.mark.parametrize("name", ["LiFePO4", "LiCoO2", "LiMn2O4", "Li3N", "LiAlO2"])
def test_the_same_hops_in_any_cell(name: str) -> None:
    def per_ion(made: Structure) -> list[tuple[float, float]]:
        ions = sum(site.specie.symbol == "Li" for site in made)
        found = hops(made, "Li", max_length=4.6)
        # Of hops of one length, the one with fewer copies first.
        found.sort(key=lambda hop: (round(hop.length, 1), hop.multiplicity))
        return [(hop.length, hop.multiplicity / ions) for hop in found]

    expected = per_ion(structure(name))
    for what, made in variants(name).items():
        found = per_ion(made)
        assert len(found) == len(expected), what
        np.testing.assert_allclose(found, expected, rtol=0, atol=0.005, err_msg=what)


def test_longest_hop_by_default() -> None:
    wide = Cell(7.0 * np.eye(3), [[0, 0, 0]], [11])
    assert lengths(hops(wide)) == [(7.0, 3)]
    assert lengths(hops(wide, max_length=10.0)) == [(7.0, 3), (9.899, 6)]
    # Bounds are met by what is as long as they say.
    assert lengths(hops(wide, max_length=7.0)) == [(7.0, 3)]
    # Up to a tenth longer than the shortest one.
    wide = Cell(np.diag([6.0, 6.5, 7.0]), [[0, 0, 0]], [11])
    assert lengths(hops(wide)) == [(6.0, 1), (6.5, 1)]


def test_noise_does_not_decide_which_of_two_is_the_first() -> None:
    for edges in ((4.0, 4.00001, 9.0), (4.00001, 4.0, 9.0)):
        found = hops(Cell(np.diag(edges), [[0, 0, 0], [0.4, 0, 0.3]], [3, 8]))
        assert [hop.image for hop in found] == [(0, 1, 0), (1, 0, 0)]


def test_published_hops_are_found() -> None:
    """Every vacancy hop of the starter set, by its length."""
    for name, compound in STARTER.items():
        crystal = crystal_of(name)
        for hop in compound.hops:
            if hop.mechanism != "vacancy" or compound.site(hop.to_site).element is None:
                continue
            length = np.linalg.norm((np.array(hop.end) - hop.start) @ crystal.lattice)
            found = hops(cell_of(name), hop.ion, max_length=6.0, clearance=0.0)
            assert min(abs(h.length - length) for h in found) < 1e-4, (name, hop.name)


def test_equivalent_pairs_have_equal_lengths() -> None:
    cell = cell_of("LiAlO2")
    for hop in hops(cell, "Li"):
        for i, j, *image in hop.copies:
            apart = (cell.frac[j] + image - cell.frac[i]) @ cell.lattice
            assert np.linalg.norm(apart) == pytest.approx(hop.length, abs=1e-6)
