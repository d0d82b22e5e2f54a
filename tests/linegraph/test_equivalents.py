"""All copies of a path that symmetry makes, against the sites that hops list."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from linegraph import Cell, InputError
from linegraph.equivalents import equivalent_paths
from linegraph.hops import Copy, Hop, hops
from linegraph.supercell import band_of
from tests.linegraph.test_hops import cell_of, structure


def primitive_of(name: str) -> Cell:
    made = structure(name).get_primitive_structure()
    return Cell(made.lattice.matrix, made.frac_coords, made.atomic_numbers)


def doubled(name: str) -> Cell:
    made = structure(name) * (2, 1, 1)
    return Cell(made.lattice.matrix, made.frac_coords, made.atomic_numbers)


CRYSTALS = {
    "olivine": cell_of("LiFePO4"),
    "layered": cell_of("LiCoO2"),
    "layered, primitive": primitive_of("LiCoO2"),
    "spinel": cell_of("LiMn2O4"),
    "anti-perovskite, doubled": doubled("Li3OCl"),
    "rock salt": cell_of("NaCl"),
}


def straight(hop: Hop) -> NDArray[np.float64]:
    return np.linspace(hop.start, hop.end, 5)


def as_copy(cell: Cell, path: NDArray[np.float64]) -> Copy:
    """The sites at the ends of a path, and the cell between them, in the one order."""
    sites, cells = [], []
    for place in (path[0], path[-1]):
        apart = place - cell.frac
        distance = np.linalg.norm((apart - np.rint(apart)) @ cell.lattice, axis=1)
        assert distance.min() < 0.02
        sites.append(int(distance.argmin()))
        cells.append(np.rint(apart[sites[-1]]).astype(int))
    image = cells[1] - cells[0]
    ways = [(sites[0], sites[1], *image.tolist()), (sites[1], sites[0], *(-image).tolist())]
    return min(ways)  # type: ignore[return-value]


def one_way(copy: Copy) -> Copy:
    i, j, a, b, c = copy
    return min(copy, (j, i, -a, -b, -c))


@pytest.mark.parametrize("name", CRYSTALS)
def test_ends_are_those_of_the_copies(name: str) -> None:
    cell = CRYSTALS[name]
    found = hops(cell)
    copies = equivalent_paths(cell, [straight(hop) for hop in found])
    for hop, paths in zip(found, copies, strict=True):
        assert sorted(as_copy(cell, path) for path in paths) == sorted(map(one_way, hop.copies))
        np.testing.assert_allclose(paths[0], straight(hop), atol=1e-9)
        # Straight ones stay straight.
        np.testing.assert_allclose(paths[:, 2], (paths[:, 0] + paths[:, -1]) / 2, atol=1e-9)


@pytest.mark.parametrize("name", ["olivine", "anti-perovskite, doubled", "rock salt"])
def test_bends_are_the_same_everywhere(name: str) -> None:
    """By what is around each image: its distances to the atoms."""
    cell = CRYSTALS[name]
    hop = hops(cell)[0]
    band = band_of(cell, hop, idpp=True)
    path = band.cart[:5] @ np.linalg.inv(cell.lattice)
    middle = path[2] - (path[0] + path[-1]) / 2
    assert name == "rock salt" or np.linalg.norm(middle @ cell.lattice) > 0.05
    (paths,) = equivalent_paths(cell, [path])
    assert len(paths) == hop.multiplicity
    shifts = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 3), axis=-1).reshape(-1, 1, 3)
    atoms = (cell.frac + shifts).reshape(-1, 3) @ cell.lattice
    kinds = np.tile(cell.numbers, len(shifts))

    def around(copy: NDArray[np.float64], image: int) -> NDArray[np.float64]:
        home = copy[image] - np.floor(copy[image])
        apart = np.linalg.norm(home @ cell.lattice - atoms, axis=1)
        near = apart < 4.5
        return np.array(sorted(zip(kinds[near], apart[near].round(3), strict=True)))

    here = [around(path, image) for image in range(5)]
    for copy in paths:
        there = [around(copy, image) for image in range(5)]
        assert [x.shape for x in there] == [x.shape for x in here]
        for one, other in zip(here, there, strict=True):
            np.testing.assert_allclose(one, other, atol=0.02)


def test_paths_to_an_empty_site() -> None:
    cell = cell_of("Li3OCl")
    found = hops(cell, "Li", 3.5, [[0.25, 0.25, 0.25]])
    assert any(hop.final >= len(cell) for hop in found)
    copies = equivalent_paths(cell, [straight(hop) for hop in found])
    assert [len(paths) for paths in copies] == [hop.multiplicity for hop in found]


def test_two_atoms_on_one_site() -> None:
    cell = Cell(4 * np.eye(3), [[0, 0, 0], [0, 0, 0.01]], [3, 3])
    with pytest.raises(InputError, match="apart"):
        equivalent_paths(cell, [np.zeros((5, 3))])
