"""Features of a band: known ones, what must not change them, and bands that lack some."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import QhullError

from linegraph.band_features import BAND_FEATURES, band_features
from linegraph.composition import COMPOSITION_FEATURES, composition_features
from linegraph.elements import Z_OF
from linegraph.path_features import PATH_FEATURES, path_features
from linegraph.paths import check_images
from linegraph.structure import Cell
from linegraph.voronoi import VoronoiCell, voronoi_cell
from tests.bands import rock_salt_band
from tests.crystals import rotation, supercell

A = 4.2  # Å, edge of the cube of rock_salt_band

#: Rounding to four decimals may fall either way.
ROUNDING = 1.1e-4

POLYHEDRA = {
    name
    for name in PATH_FEATURES
    if name in BAND_FEATURES and (name.endswith(("_cn", "_volume")) or "facet" in name)
}


NOT_OURS = {"n_verts_ini", "n_verts_fin", "avg_ini_solid_angle", "avg_fin_solid_angle"}


def named(band: Cell) -> dict[str, float]:
    return dict(zip(BAND_FEATURES, band_features(band).tolist(), strict=True))


def same(found: Cell, expected: Cell) -> None:
    np.testing.assert_allclose(band_features(found), band_features(expected), atol=ROUNDING)


def quartz_like(seed: int = 0) -> Cell:
    """A skewed cell without symmetry: Li hops between P, S, O."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), -1).reshape(-1, 3) / 3
    host = grid[1:] + rng.uniform(-0.06, 0.06, (26, 3))
    images = np.linspace(0, 1, 5)[:, None] * [0.31, 0.05, 0.02] + rng.uniform(-0.01, 0.01, (5, 3))
    numbers = [3] * 5 + [Z_OF[s] for s in (["O"] * 14 + ["S"] * 6 + ["P"] * 4 + ["Li"] * 2)]
    lattice = 8 * np.eye(3) + [[0, 0, 0], [1.1, 0, 0], [0.4, -0.7, 0]]
    return Cell(lattice, np.concatenate([images, host]), numbers)


def test_rock_salt() -> None:
    band = rock_salt_band("Li", "O", A)
    values = band_features(band)
    assert values.shape == (len(BAND_FEATURES),) and values.dtype == np.float32
    assert {*PATH_FEATURES, *COMPOSITION_FEATURES} - NOT_OURS == {*BAND_FEATURES}
    assert len(set(BAND_FEATURES)) == len(BAND_FEATURES)
    found = named(band)
    assert found["path_distance"] == pytest.approx(A / 2**0.5, abs=1e-4)
    assert found["avg_fin_bond_length"] == pytest.approx(A / 2, abs=1e-4)
    assert found["path: 6 nearest anions, image 0"] == pytest.approx(A / 2, abs=1e-4)
    # One ion, 6 other Li and 8 O: 7 atoms of group 1, 8 of group 16.
    assert found["path: atoms in cell"] == 15
    assert found["composition: group, mean"] == pytest.approx((7 * 1 + 8 * 16) / 15)
    assert found["composition: group, mode"] == 16
    assert np.isfinite([found[name] for name in POLYHEDRA]).all()


def test_a_hair_moves_nothing() -> None:
    """More than four Voronoi cells meet in the vertices of rock salt's: rounding parts them."""
    band = rock_salt_band("Li", "O", A)
    for off in np.random.default_rng(0).normal(size=(5, len(band), 3)):
        moved = Cell(band.lattice, band.frac + 1e-7 * off, band.numbers)
        same(moved, band)
    slivers = [path_features(moved)["ini_cn"], path_features(band)["ini_cn"]]
    assert slivers[0] > slivers[1]


def test_displaced_atoms_hardly_move_polyhedra() -> None:
    """Facets of rock salt that open where atoms are 0.003 Å off count for next to nothing."""
    band = rock_salt_band("Li", "O", A)
    off = 0.003 / (A * np.array([2, 1, 1])) * np.random.default_rng(1).normal(size=(len(band), 3))
    moved = Cell(band.lattice, band.frac + off, band.numbers)
    ours = [named(cell) for cell in (band, moved)]
    plain = [path_features(cell) for cell in (band, moved)]
    for name in ("ini_cn", "avg_ini_facet_area"):
        before, after = (abs(found[1][name] / found[0][name] - 1) for found in (plain, ours))
        assert before > 0.15 and after < 0.02, name


def test_both_parts_are_those_of_their_modules() -> None:
    band = quartz_like()
    path = path_features(band, smooth=True)
    of_path = [value for name, value in path.items() if name not in NOT_OURS]
    expected = [*of_path, *composition_features(band.numbers[4:])]
    np.testing.assert_array_equal(band_features(band), np.array(expected, dtype=np.float32))
    assert np.isfinite(band_features(band)).all()


def test_the_way_back() -> None:
    band = quartz_like(1)
    back = Cell(band.lattice, np.concatenate([band.frac[4::-1], band.frac[5:]]), band.numbers)
    there, again = named(band), named(back)
    assert there["fin_volume"] != pytest.approx(there["ini_volume"], abs=0.01)
    for name, value in there.items():
        other = name.replace("fin", "\0").replace("ini", "fin").replace("\0", "ini")
        if ", image " in name:
            other = f"{name[:-1]}{4 - int(name[-1])}"
        if name in COMPOSITION_FEATURES:
            other = name
        if name.endswith("bottleneck"):
            # From where it begins: the same extreme, seen from the other end.
            value += there[name.replace("bottleneck", "image 0")]
            value -= there[name.replace("bottleneck", "image 4")]
        expected = -value if name.endswith(", ends") else value
        assert again[other] == pytest.approx(expected, abs=4 * ROUNDING), name


def test_periodic_images_and_where_the_cell_begins() -> None:
    band = quartz_like(2)
    shifts = np.random.default_rng(0).integers(-2, 3, size=band.frac.shape)
    shifts[:5] = [1, 0, -1]  # images together, or the hop would be another one
    same(Cell(band.lattice, band.frac + shifts, band.numbers), band)
    same(Cell(band.lattice, band.frac + [0.3, -1.7, 2.2], band.numbers), band)


def test_order_of_the_host() -> None:
    band = quartz_like(3)
    order = np.concatenate([np.arange(5), 5 + np.random.default_rng(0).permutation(len(band) - 5)])
    same(Cell(band.lattice, band.frac[order], band.numbers[order]), band)


def test_rotation_and_other_lattice_vectors() -> None:
    band = quartz_like(4)
    same(Cell(band.lattice @ rotation(0), band.frac, band.numbers), band)
    # The same lattice: c is replaced by c + a. Only the faces of the cell are others.
    other = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 1]])
    sheared = Cell(other @ band.lattice, band.frac @ np.linalg.inv(other), band.numbers)
    found, expected = named(sheared), named(band)
    assert found.pop("path: cell width") < expected.pop("path: cell width")
    assert found == pytest.approx(expected, abs=ROUNDING)


def test_a_larger_cell_of_the_same_host() -> None:
    band = quartz_like(5)
    host = supercell(band.without([0, 1, 2, 3, 4]), (2, 1, 1))
    frac = np.concatenate([band.frac[:5] / [2, 1, 1], host.frac])
    large = Cell(host.lattice, frac, [3] * 5 + host.numbers.tolist())
    counted = {
        "path: ions per atom",
        "path: ions in cell",
        "path: anions per atom",
        "path: volume per atom",
        "path: atoms in cell",
        "path: cell width",
    }
    # Averages over atoms count one ion less, as both cells have one.
    averages = {n for n in COMPOSITION_FEATURES if n.endswith(("mean", "deviation"))}
    here, there = named(band), named(large)
    assert there["path: atoms in cell"] == 2 * here["path: atoms in cell"] - 1
    for name in set(BAND_FEATURES) - counted - averages:
        assert there[name] == pytest.approx(here[name], abs=ROUNDING), name


def test_a_sparse_band_has_no_polyhedra() -> None:
    salt = rock_salt_band()
    found = named(Cell(np.diag([1e5, A, A]), salt.frac, salt.numbers))
    assert {name for name, value in found.items() if np.isnan(value)} >= POLYHEDRA
    assert np.isfinite(found["path: bond valence, image 0"])


@pytest.mark.parametrize("hosts", [0, 4])
def test_a_cell_too_thin_to_look_around_in(hosts: int) -> None:
    band = Cell(np.diag([1e-3, 1e-3, 10]), np.eye(5 + hosts, 3) / 3, [3] * 5 + [8] * hosts)
    check_images(band)
    found = named(band)
    around = {n for n in PATH_FEATURES if ("image" in n or "bond_length" in n or "nearest" in n)}
    assert np.isnan([found[name] for name in around]).all()
    assert np.isfinite([found["path: cell width"], found["composition: group, mean"]]).all()


def test_one_failed_polyhedron_takes_nothing_else_along(monkeypatch: pytest.MonkeyPatch) -> None:
    band = quartz_like(6)
    expected = named(band)

    def fails_at_the_start(cell: Cell, site: int, weighted: bool) -> VoronoiCell:
        if np.array_equal(cell.frac[site], band.frac[0]):
            raise QhullError("flat")
        return voronoi_cell(cell, site, weighted)

    monkeypatch.setattr("linegraph.path_features.voronoi_cell", fails_at_the_start)
    found = named(band)
    missing = {name for name, value in found.items() if np.isnan(value)}
    assert missing == {name for name in POLYHEDRA if "ini" in name}
    assert all(found[name] == expected[name] for name in set(BAND_FEATURES) - missing)


def test_an_end_on_the_site_of_another_atom() -> None:
    band = quartz_like(7)
    frac = band.frac.copy()
    frac[0], frac[5] = [0.25, 0, 0], [0.25, 1, 0]
    found = named(Cell(band.lattice, frac, band.numbers))
    assert found["path: nearest anion, image 0"] == 0
    assert np.isfinite([found[name] for name in POLYHEDRA if "fin" in name]).all()


@pytest.mark.parametrize("host", [[], [18], [103] * 3])
@pytest.mark.parametrize("ion", [3, 18, 103])
def test_any_elements(ion: int, host: list[int]) -> None:
    numbers = [ion] * 5 + host
    frac = np.random.default_rng(len(host)).random((len(numbers), 3))
    values = band_features(Cell(6 * np.eye(3), frac, numbers))
    assert not np.isinf(values).any()
    assert np.isfinite(values[BAND_FEATURES.index("ini_cn")])
