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

from linegraph import Cell, InputError, primitive_cell, views
from linegraph.approach import closest_approach
from linegraph.elements import Z_OF
from linegraph.equivalents import equivalent_paths
from linegraph.hops import Hop, hops
from linegraph.paths import IMAGES, VIEWS
from linegraph.supercell import CROWDED, band_of
from training.bands import check_band
from training.starter import starter_bands

from .. import crystals
from .test_hops import GAP, STARTER, cell_of


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
        # As many atoms as belong into the volume, which need not be that of whole given cells.
        share = np.linalg.det(band.lattice) / np.linalg.det(cell.lattice)
        assert len(band) - IMAGES + 2 == pytest.approx(share * len(cell), abs=1e-6)
        assert shortest_vector(band.lattice) >= 8.0
        steps = np.diff(band.cart[:IMAGES], axis=0)
        np.testing.assert_allclose(steps, [np.array(hop.vector) / 4] * 4, atol=1e-9)
        assert set(views(band, VIEWS)) == set(VIEWS)


def test_widths_of_all_crystals_of_the_starter_set() -> None:
    """As promised, and none is larger than the cells side by side that would do."""
    for name in STARTER:
        cell = cell_of(name)
        ion = next((ion for ion in ("Li", "Na", "K", "Mg") if Z_OF[ion] in cell.numbers), None)
        if ion is None:
            continue
        hop = hops(cell, ion)[0]
        lattice = band_of(cell, hop).lattice
        assert shortest_vector(lattice) >= 8.0, name
        side = np.ceil(8 / np.linalg.norm(cell.lattice, axis=1)).prod()
        assert np.linalg.det(lattice) < np.linalg.det(cell.lattice) * side * 1.001, name


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


def test_the_fewest_atoms() -> None:
    cell = cell_of("LiFePO4")
    band = band_of(cell, hops(cell)[0])
    assert len(band) == 4 * 28 + 3
    # Of four cells side by side it would be 9.38 Å.
    assert shortest_vector(band.lattice) == pytest.approx(np.hypot(6.01, 2 * 4.692), abs=1e-3)
    assert len(band_of(cell, hops(cell)[0], min_width=4.0)) == 28 + 3
    # Of cells side by side it would take 27, and of conventional ones 9.
    salt = crystals.fcc(5.64, 11)
    assert len(band_of(salt, hops(salt)[0])) == 13 + 3
    layers = cell_of("LiCoO2")
    assert len(band_of(layers, hops(layers)[0])) == 15 * 4 + 3


def test_a_large_cell_that_is_primitive_stays() -> None:
    cell = crystals.supercell(cell_of("LiFePO4"), (1, 2, 2)).without([30])
    band = band_of(cell, hops(cell)[0])
    np.testing.assert_allclose(band.lattice, cell.lattice, atol=1e-9)
    assert len(band) == len(cell) + 3
    assert nearest(cell.cart[[29, 31]], band).max() < 1e-9


def test_a_cell_that_is_larger_is_made_smaller() -> None:
    """As long as its copies are the same within the tolerance."""
    cell = crystals.supercell(cell_of("LiFePO4"), (2, 3, 2))
    band = band_of(cell, hops(cell)[0])
    assert len(band) == 4 * 28 + 3
    off = np.random.default_rng(1).uniform(-2e-3, 2e-3, (len(cell), 3))
    shaken = Cell(cell.lattice, cell.frac + off @ np.linalg.inv(cell.lattice), cell.numbers)
    rough = band_of(shaken, hops(shaken)[0])
    assert len(rough) == len(band)
    # Atoms are at the mean of their twelve copies. Single ones are 0.002 Å off.
    error = nearest(rough.cart[IMAGES:], band)
    assert 0 < np.sqrt((error**2).mean()) < 1.3 * np.linalg.norm(off, axis=1).mean() / np.sqrt(12)
    shaken.frac[7] += [0.01, 0, 0]
    assert len(band_of(shaken, hops(shaken)[0])) == len(cell) + 3


def nearest(places: NDArray[np.float64], band: Cell) -> NDArray[np.float64]:
    """How far each place is from the nearest atom of the host of a band, Å."""
    apart = places[:, None] @ np.linalg.inv(band.lattice) - band.frac[IMAGES:]
    apart -= np.rint(apart)
    found: NDArray[np.float64] = np.linalg.norm(apart @ band.lattice, axis=2).min(axis=1)
    return found


def test_the_host_is_where_the_crystal_is() -> None:
    """Every atom of the band is one of the crystal, and the path goes from ion to ion."""
    cell = cell_of("LiTi2(PO4)3")
    for given in (cell, crystals.supercell(cell, (2, 1, 1))):
        hop = hops(given)[0]
        band = band_of(given, hop)
        assert abs(np.linalg.det(band.lattice) / np.linalg.det(given.lattice)) % 1 > 0.1
        back = band.cart @ np.linalg.inv(given.lattice)
        apart = back[IMAGES:, None] - given.frac
        apart -= np.rint(apart)
        distance = np.linalg.norm(apart @ given.lattice, axis=2)
        assert distance.min(axis=1).max() < 1e-6
        np.testing.assert_array_equal(given.numbers[distance.argmin(axis=1)], band.numbers[IMAGES:])
        np.testing.assert_allclose(back[[0, 4]], [hop.start, hop.end], atol=1e-9)
        assert nearest(band.cart[[0, 4]], band).min() > 1.5


def test_without_a_symmetry_that_fits_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """The given cell makes a band as well, however it is sheared."""
    cell = cell_of("LiFePO4")
    rows = np.array([[1, 0, 0], [12, 1, 0], [0, -9, 1]])
    sheared = Cell(rows @ cell.lattice, cell.frac @ np.linalg.inv(rows), cell.numbers)
    double = crystals.supercell(sheared, (2, 1, 1))
    hop, other = hops(sheared)[0], hops(double)[0]

    def none(cell: Cell, symprec: float) -> None:
        raise InputError(f"no symmetry within {symprec}", field="symprec")

    monkeypatch.setattr("linegraph.supercell.primitive", none)
    band, larger = band_of(sheared, hop), band_of(double, other)
    assert (len(band), len(larger)) == (4 * 28 + 3, 8 * 28 + 3)
    here = around(band_of(cell, hops(cell)[0]), 0, 3.5)
    assert around(band, 0, 3.5) == around(larger, 0, 3.5) == here


def test_the_primitive_cell_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hops, bands and equivalent paths of a structure share it; nobody can change it for others."""
    asked = []
    find = primitive_cell._symmetry
    monkeypatch.setattr(
        primitive_cell, "_symmetry", lambda cell, symprec: asked.append(1) or find(cell, symprec)
    )
    cell = cell_of("LiFePO4")
    moved = Cell(cell.lattice, cell.frac + 0.01, cell.numbers)
    for hop in hops(moved):
        band_of(moved, hop)
        equivalent_paths(moved, [np.array([hop.start, hop.end])])
    # Once for the cell as given, once for the primitive one.
    assert len(asked) == 2
    hops(moved, symprec=0.02)
    assert len(asked) == 4
    crystal = primitive_cell.primitive(moved, 0.01)
    for array in (*crystal[1:], crystal.cell.lattice, crystal.cell.frac, crystal.cell.numbers):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_a_hop_to_an_image_of_the_site_itself() -> None:
    chain = Cell(np.diag([9.0, 8.5, 11.0]), [[0.2, 0.1, 0.3], [0.2, 0.6, 0.9]], [3, 8])
    (hop,) = (hop for hop in hops(chain) if hop.image == (0, 1, 0))
    band = band_of(chain, hop)
    # 8.5 Å are enough between images, but then the two ends would be one site.
    assert abs(np.linalg.det(band.lattice)) == pytest.approx(2 * 9.0 * 8.5 * 11.0)
    assert shortest_vector(band.lattice) > 8.6
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


@pytest.mark.parametrize("share", [0.25, 0.375, 0.5])
@pytest.mark.parametrize("length", [4.0, 9.0, 24.0])
def test_an_atom_between_two_images_of_a_long_path(length: float, share: float) -> None:
    cell = Cell(
        np.diag([length, length + 1, length + 2]),
        [[0, 0, 0], [share, 0, 0], [0.3, 0.5, 0.5]],
        [3, 8, 15],
    )
    assert closest_approach(band_of(cell, hops(cell, "Li")[0])) < 1e-6


def test_the_path_counts_between_images_too() -> None:
    """Against places every thousandth of the way."""
    for name in ("LiFePO4", "LiCoO2", "NaCl"):
        cell = cell_of(name)
        for hop in hops(cell):
            band = band_of(cell, hop)
            frac = band.frac[0] + np.linspace(0, 1, 1001)[:, None] * (band.frac[4] - band.frac[0])
            apart = frac[:, None] - band.frac[None, IMAGES:]
            apart = (apart - np.rint(apart)) @ band.lattice
            expected = np.linalg.norm(apart, axis=2).min()
            assert closest_approach(band) == pytest.approx(expected, abs=1e-4)


def test_a_hop_of_a_larger_structure() -> None:
    """Its atoms are not taken for empty sites because there are so few here."""
    small = cell_of("LiFePO4")
    large = crystals.supercell(small, (2, 2, 1))
    order = np.argsort(large.numbers == 3, kind="stable")
    large = Cell(large.lattice, large.frac[order], large.numbers[order])
    hop = hops(large)[0]
    assert min(hop.initial, hop.final) >= len(small)
    with pytest.raises(InputError, match="not of this structure: atom [0-9]+ of 28"):
        band_of(small, hop)
    host = cell_of("FePO4")
    into = hops(host, "Na", empty_sites=[[0, 0, 0]])[0]
    with pytest.raises(InputError, match="an empty site, but atom"):
        band_of(large, into)


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


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (1, 0, 4, 3, 2)])
def test_the_side_on_which_it_goes_is_that_of_the_crystal(order: tuple[int, ...]) -> None:
    """However the crystal lies in space, and in any order of its atoms."""
    pytest.importorskip("ase")
    places = [[0, 0, 0], [0, 0.5, 0], [0.3, 0.42, 0.2], [0.7, 0.6, 0.3], [0.45, 0.05, 0.72]]
    numbers = [3, 9, 8, 8, 8]
    cell = Cell(np.diag([8.0, 4.0, 7.0]), [places[i] for i in order], [numbers[i] for i in order])
    approaches = []
    for seed in range(4):
        turned = Cell(cell.lattice @ crystals.rotation(seed), cell.frac, cell.numbers)
        hop = hops(turned, "Li", 4.1)[0]
        assert hop.length == pytest.approx(4.0)
        approaches.append([d for _, d in around(band_of(turned, hop, idpp=True), 2, 3.5)])
    np.testing.assert_allclose(approaches, [approaches[0]] * 4, atol=5e-3)


def test_idpp_without_ase(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = cell_of("NaCl")
    hop = hops(cell)[0]
    monkeypatch.setitem(sys.modules, "ase", None)
    with pytest.raises(InputError, match="field idpp: a path by IDPP needs ASE: pip install ase"):
        band_of(cell, hop, idpp=True)
    assert len(band_of(cell, hop)) == 26 + 3


def test_a_hop_of_another_structure() -> None:
    hop: Hop = hops(cell_of("LiFePO4"))[0]
    with pytest.raises(InputError, match="field hop: hop Li1-Li1-1 is not of this structure"):
        band_of(cell_of("NaCl"), hop)
    with pytest.raises(InputError, match="is not of this structure"):
        band_of(cell_of("LiMnPO4"), replace(hop, final=27))
    salt = cell_of("NaCl")
    lithium = Cell(salt.lattice, salt.frac, np.where(salt.numbers == 11, 3, salt.numbers))
    with pytest.raises(InputError, match="atom 0 is no Li at"):
        band_of(salt, hops(lithium)[0])
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
