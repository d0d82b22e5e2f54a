"""Supercells, vacancies and the five images."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("spglib")
pytest.importorskip("pymatgen")

from linegraph import Cell, InputError, views
from linegraph.hops import Hop, hops
from linegraph.paths import IMAGES, VIEWS
from linegraph.supercell import CROWDED, band_of, closest_approach
from training.bands import check_band
from training.starter import starter_bands

from .. import crystals
from .test_hops import GAP, cell_of


def shortest_vector(lattice: NDArray[np.float64]) -> float:
    shifts = np.array([n for n in itertools.product(range(-4, 5), repeat=3) if any(n)])
    return float(np.linalg.norm(shifts @ lattice, axis=1).min())


def around(band: Cell, image: int, radius: float) -> list[tuple[int, float]]:
    """Element and distance of the host atoms around an image, nearest first."""
    apart = band.frac[IMAGES:] - band.frac[image]
    apart -= np.rint(apart)
    shifts = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    distances = np.linalg.norm((apart[:, None] + shifts) @ band.lattice, axis=2)
    atoms, cells = np.nonzero(distances < radius)
    near = distances[atoms, cells].round(4).tolist()
    numbers = band.numbers[IMAGES:][atoms].tolist()
    return [(z, d) for d, z in sorted(zip(near, numbers, strict=True))]


NAMES = ["LiFePO4", "LiCoO2", "LiMn2O4", "Li3OCl", "Li3N", "LiF", "KI"]


@pytest.mark.parametrize("name", NAMES)
def test_every_hop_becomes_a_band(name: str) -> None:
    cell = cell_of(name)
    for hop in hops(cell):
        band = band_of(cell, hop)
        check_band(band)
        copies = np.linalg.det(band.lattice) / np.linalg.det(cell.lattice)
        assert len(band) == IMAGES + round(copies) * len(cell) - 2
        assert shortest_vector(band.lattice) >= 8.0
        steps = np.diff(band.cart[:IMAGES], axis=0)
        np.testing.assert_allclose(steps, [np.array(hop.vector) / 4] * 4, atol=1e-9)
        assert set(views(band, VIEWS)) == set(VIEWS)


def test_what_is_around_the_ion() -> None:
    """At its site the ion has the neighbours it has in the crystal, save for the vacancy."""
    cell = cell_of("LiFePO4")
    hop = hops(cell)[0]
    band = band_of(cell, hop)
    found = crystals.every_neighbor(cell, 4.5)
    for image, site in ((0, hop.initial), (4, hop.final)):
        own = found.where(found.center == site)
        expected = sorted(
            zip(own.distance.round(4).tolist(), cell.numbers[own.neighbor].tolist(), strict=True)
        )
        expected.remove((pytest.approx(hop.length, abs=1e-4), 3))
        assert around(band, image, 4.5) == [(z, d) for d, z in expected]


PUBLISHED = ["LiFePO4: Li along b", "LiFePO4: Li along c", "NaCl: Na along [110]"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_bands_of_the_starter_set(name: str) -> None:
    """The same path through the same host as the band made by hand, image by image."""
    theirs = next(band.cell for band in starter_bands() if band.name == name)
    assert isinstance(theirs, Cell)
    length = np.linalg.norm(theirs.cart[4] - theirs.cart[0])
    cell = cell_of(name.split(":")[0])
    hop = next(hop for hop in hops(cell) if abs(hop.length - length) < 1e-3)
    ours = band_of(cell, hop)
    for image in range(IMAGES):
        assert around(ours, image, 3.5) == around(theirs, image, 3.5)


def test_the_fewest_repeats() -> None:
    cell = cell_of("LiFePO4")
    band = band_of(cell, hops(cell)[0])
    np.testing.assert_allclose(np.diag(band.lattice), np.diag(cell.lattice) * [1, 2, 2])
    assert len(band_of(cell, hops(cell)[0], min_width=4.0)) == 28 + 3
    salt = crystals.fcc(5.64, 11)
    band = band_of(salt, hops(salt)[0], min_width=8.0)
    assert len(band) == 27 + 3
    layers = cell_of("LiCoO2")
    assert len(band_of(layers, hops(layers)[0])) == 9 * 12 + 3


def test_a_supercell_that_is_large_enough_stays() -> None:
    cell = crystals.supercell(cell_of("LiFePO4"), (1, 2, 2))
    band = band_of(cell, hops(cell)[0])
    np.testing.assert_array_equal(band.lattice, cell.lattice)
    assert len(band) == len(cell) + 3


@pytest.mark.parametrize("width", [3.5, 5.0, 7.0, 8.0])
def test_repeats_of_sheared_cells(width: float) -> None:
    """As few as possible, and of these with the shortest longest edge, counted out."""
    cell = Cell([[3, 0, 0], [4.2, 3.1, 0], [-2.8, 5.0, 3.4]], [[0.3, 0.2, 0.9]], [3])
    band = band_of(cell, hops(cell)[0], min_width=width)
    assert shortest_vector(band.lattice) >= width
    every = np.array(list(itertools.product(range(1, 9), repeat=3)))
    cells = every.prod(axis=1)
    fewer = every[cells < len(band) - 3]
    assert len(fewer) or width < 5
    for times in fewer:
        assert shortest_vector(cell.lattice * times[:, None]) < width
    wide_enough = [
        np.linalg.norm(lattice, axis=1).max()
        for lattice in cell.lattice * every[cells == len(band) - 3][:, :, None]
        if shortest_vector(lattice) >= width
    ]
    assert np.linalg.norm(band.lattice, axis=1).max() == pytest.approx(min(wide_enough))
    # 3 x 4 x 2, 4 x 3 x 2 and 6 x 2 x 2.
    assert len(wide_enough) == (3 if width == 8 else 1)


def test_a_hop_to_an_image_of_the_site_itself() -> None:
    chain = Cell(np.diag([9.0, 8.5, 11.0]), [[0.2, 0.1, 0.3], [0.2, 0.6, 0.9]], [3, 8])
    (hop,) = (hop for hop in hops(chain) if hop.image == (0, 1, 0))
    band = band_of(chain, hop)
    # 8.5 Å are enough between images, but then the two ends would be one site.
    assert band.lattice[1, 1] == 17.0
    assert sorted(band.numbers.tolist()) == [3] * 5 + [8] * 2


def test_sites_outside_of_the_cell() -> None:
    cell = cell_of("LiFePO4")
    moved = Cell(cell.lattice, cell.frac + [[1, -2, 0]] * 28, cell.numbers)
    moved.frac[1] += [0, 3, 0]
    for hop, same in zip(hops(cell), hops(moved), strict=True):
        ours, theirs = band_of(moved, same), band_of(cell, hop)
        check_band(ours)
        for image in range(IMAGES):
            assert around(ours, image, 3.0) == around(theirs, image, 3.0)


def test_to_an_empty_site() -> None:
    spinel = cell_of("LiMn2O4")
    hop = hops(spinel, empty_sites=GAP, max_length=2.0)[0]
    band = band_of(spinel, hop)
    # The ion comes from one 8a site next to the 16c site; the one on its other side is vacant.
    assert np.count_nonzero(band.numbers[IMAGES:] == 3) == 8 - 2
    assert min(d for z, d in around(band, 4, 6.0) if z == 3) > CROWDED
    check_band(band)
    other = hops(spinel, empty_sites=GAP)[1]
    assert (other.initial >= len(spinel), other.final >= len(spinel)) == (True, True)
    assert np.count_nonzero(band_of(spinel, other).numbers[IMAGES:] == 3) == 8 - 3


def test_into_a_host_without_the_ion() -> None:
    host = cell_of("FePO4")
    hop = hops(host, "Na", empty_sites=[[0, 0, 0]])[0]
    band = band_of(host, hop)
    assert len(band) == 4 * 24 + 5
    assert np.flatnonzero(band.numbers == 11).tolist() == [0, 1, 2, 3, 4]


def test_a_path_through_an_atom() -> None:
    cell = cell_of("LiF")
    edge, face = hops(cell)[0], hops(cell)[1]
    assert closest_approach(band_of(cell, edge)) == pytest.approx(4.017 / np.sqrt(8), abs=1e-3)
    assert closest_approach(band_of(cell, face)) == pytest.approx(0.0, abs=1e-9)


def bent(name: str, hop: int) -> tuple[Cell, Cell]:
    pytest.importorskip("ase")
    cell = cell_of(name)
    found = hops(cell)[hop]
    return band_of(cell, found), band_of(cell, found, idpp=True)


def test_idpp_bends_the_path_of_the_olivine() -> None:
    straight, curved = bent("LiFePO4", 0)
    np.testing.assert_array_equal(
        curved.frac[[0, *range(4, len(curved))]], straight.frac[[0, *range(4, len(straight))]]
    )
    off = curved.cart[:IMAGES] - straight.cart[:IMAGES]
    # The known curved path: sideways, in the plane of the mirror between the two sites.
    assert 0.2 < np.linalg.norm(off[2]) < 0.6
    assert abs(off[2][1]) < 1e-3
    assert closest_approach(curved) > closest_approach(straight) + 0.1
    np.testing.assert_allclose(off[1][[0, 2]], off[3][[0, 2]], atol=1e-2)


def test_idpp_leaves_a_straight_path_of_high_symmetry() -> None:
    straight, curved = bent("LiCoO2", 0)
    np.testing.assert_allclose(curved.cart, straight.cart, atol=1e-3)


def test_idpp_goes_around_an_atom() -> None:
    pytest.importorskip("ase")
    cell = Cell(np.diag([8.0, 4.0, 8.0]), [[0, 0, 0], [0, 0.5, 0]], [3, 9])
    hop = hops(cell)[0]
    assert closest_approach(band_of(cell, hop)) < 1e-6
    assert closest_approach(band_of(cell, hop, idpp=True)) > 0.7


def test_idpp_without_ase(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = cell_of("NaCl")
    hop = hops(cell)[0]
    monkeypatch.setitem(sys.modules, "ase", None)
    with pytest.raises(InputError, match="field idpp: a path by IDPP needs ASE: pip install ase"):
        band_of(cell, hop, idpp=True)
    assert len(band_of(cell, hop)) == 67


def test_a_hop_of_another_structure() -> None:
    hop: Hop = hops(cell_of("LiFePO4"))[0]
    with pytest.raises(InputError, match="field hop: hop Li1-Li1-1 is not of this structure"):
        band_of(cell_of("NaCl"), hop)
    with pytest.raises(InputError, match="is not of this structure"):
        band_of(cell_of("LiMnPO4"), replace(hop, final=27))
    # A like crystal has its ions elsewhere; what a file rounds is the same structure.
    for off, same in ((5e-4, True), (0.01, False)):
        cell = cell_of("LiFePO4")
        cell.frac[hop.final] += [0, 0, off / cell.lattice[2, 2]]
        if same:
            check_band(band_of(cell, hop))
        else:
            with pytest.raises(InputError, match=f"atom {hop.final} is no Li at"):
                band_of(cell, hop)


@pytest.mark.parametrize("width", [0.0, -1.0, float("nan"), 21.0])
def test_widths_out_of_range(width: float) -> None:
    cell = cell_of("NaCl")
    with pytest.raises(InputError, match="field min_width: expected more than 0 and at most 20 Å"):
        band_of(cell, hops(cell)[0], min_width=width)
