"""Features of a hop: what they are in a crystal one can work out, and what must not change them."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from linegraph.elements import Z_OF
from linegraph.ends import Ends
from linegraph.ions import bond_valence_length, is_anion, species_of
from linegraph.path_features import PATH_FEATURES, measure_path, path_features
from linegraph.structure import Cell
from tests.bands import rock_salt_band
from tests.goldens import SHARED, needs_data
from training.read import read_bands

A = 4.2  # Å, edge of the cube of rock_salt_band


def moved(cell: Cell, shift: np.ndarray) -> Cell:
    return Cell(cell.lattice, cell.frac + shift, cell.numbers)


def same(a: dict[str, float], b: dict[str, float]) -> None:
    # Rounding to four decimals may fall either way.
    assert list(a) == list(b)
    np.testing.assert_allclose(list(a.values()), list(b.values()), atol=1.1e-4)


def test_rock_salt() -> None:
    found = path_features(rock_salt_band("Li", "O", A))
    assert tuple(found) == PATH_FEATURES
    # One face diagonal's half; the middle lies between two anions on the cube's edge.
    assert found["path_distance"] == pytest.approx(A / 2**0.5, abs=1e-4)
    assert found["avg_ini_bond_length"] == pytest.approx(A / 2, abs=1e-4)
    assert found["path: nearest anion, image 0"] == pytest.approx(A / 2, abs=1e-4)
    assert found["path: nearest anion, image 2"] == pytest.approx(A / 8**0.5, abs=1e-4)
    assert found["path: nearest anion, bottleneck"] == pytest.approx(A / 8**0.5 - A / 2, abs=2e-4)
    assert found["path: nearest anion, middle"] == found["path: nearest anion, bottleneck"]
    assert found["path: nearest anion, ends"] == 0
    assert found["path: 6 nearest anions, image 4"] == pytest.approx(A / 2, abs=1e-4)
    assert found["path: nearest cation, image 0"] == pytest.approx(A / 2**0.5, abs=1e-4)
    # Of 15 atoms with one ion, 7 are Li and 8 O, in two cubes.
    assert found["path: ions per atom"] == pytest.approx(7 / 15, abs=1e-4)
    assert found["path: volume per anion"] == pytest.approx(A**3 / 4, abs=1e-4)
    assert found["path: cell width"] == pytest.approx(A, abs=1e-4)
    assert found["path: ion charge"] == 1
    assert found["ini_cn"] >= 6
    assert found["avg_ini_solid_angle"] * found["ini_cn"] == pytest.approx(4 * np.pi, abs=1e-2)


def test_an_anion_has_cations_around() -> None:
    """Fluorine hops in LiF as lithium does: what it passes between are cations."""
    ours, theirs = (path_features(rock_salt_band(*ions, A)) for ions in (("F", "Li"), ("Li", "F")))
    for name in ("image 0", "image 2", "bottleneck", "middle", "ends"):
        assert ours[f"path: nearest anion, {name}"] == theirs[f"path: nearest anion, {name}"]
    assert ours["path: nearest anion, image 0"] == pytest.approx(A / 2, abs=1e-4)
    assert ours["path: nearest cation, image 0"] == pytest.approx(A / 2**0.5, abs=1e-4)


def around_the_middle(anions: str, distances: list[float]) -> Cell:
    """A hop of Li along x in a large box, with anions around its middle and a cation far away."""
    sides = [[0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1], [0, 0.6, 0.8], [0, 0.8, -0.6]]
    box = np.array([12.0, 12, 12])
    images = [[x, 6, 6] for x in np.linspace(5, 7, 5)]
    host = [box / 2 + d * np.array(side) for side, d in zip(sides, distances, strict=False)]
    numbers = [3] * 5 + [Z_OF[one] for one in anions.split()] + [15]
    return Cell(np.diag(box), np.array([*images, *host, [1.0, 1, 1]]) / box, numbers)


def test_smooth_features_do_not_jump() -> None:
    """By far less than the atoms move; of the others some jump where symmetry is lost."""
    salt = rock_salt_band("Li", "O", A)
    tied = around_the_middle("O O O F F", [2.0, 2.0, 2.4, 2.4, 2.4])
    # At the furthest distance of a bond: 1.25 times the nearest one, from where the hop begins.
    bonded = around_the_middle("O O", [2.0, (1.25**2 * 5 - 1) ** 0.5])
    names = set(PATH_FEATURES) - {"n_verts_ini", "n_verts_fin"}
    # Polyhedra in an empty box are as large as it, and move as much.
    small = {key for key in names if key.startswith("path: nearest") or "bond" in key}
    asked = {"salt": names, "tied": small, "bonded": small}
    jumps: dict[tuple[bool, str], float] = {}
    for name, band in (("salt", salt), ("tied", tied), ("bonded", bonded)):
        for seed in range(8):
            off = 1e-4 * np.random.default_rng(seed).normal(size=band.frac.shape)
            near = Cell(band.lattice, band.frac + off @ np.linalg.inv(band.lattice), band.numbers)
            for smooth in (False, True):
                pair = [path_features(cell, smooth) for cell in (band, near)]
                for key in asked[name]:
                    jump = abs(pair[1][key] - pair[0][key])
                    jumps[smooth, key] = max(jump, jumps.get((smooth, key), 0))
    assert {key: jump for (smooth, key), jump in jumps.items() if smooth and jump > 3e-3} == {}
    jumping = ("ini_cn", "avg_fin_bond_length", "path: nearest anions' electronegativity, middle")
    assert all(jumps[False, key] > 0.1 for key in jumping)


def test_smooth_features_are_those_of_whole_shells() -> None:
    middle = "path: nearest anions' electronegativity, middle"
    found = path_features(around_the_middle("O O O F F", [2.0, 2.0, 2.4, 2.4, 2.4]), smooth=True)
    last = 1 / (1 + np.exp(-2))  # what the outermost atoms count
    expected = (2 * 3.44 + last * (3.44 + 2 * 3.98)) / (2 + 3 * last)
    assert found[middle] == pytest.approx(expected, abs=1e-3)
    found = path_features(around_the_middle("F F O O F", [2.0, 2.0, 2.4, 2.4, 3.2]), smooth=True)
    assert found[middle] == pytest.approx((2 * 3.98 + last * 2 * 3.44) / (2 + 2 * last), abs=1e-3)
    plain, smooth = (path_features(rock_salt_band("Li", "O", A), which) for which in (False, True))
    for key in ("avg_ini_bond_length", "ini_cn"):
        assert smooth[key] == pytest.approx(plain[key], abs=0.8)
    assert smooth["avg_ini_bond_length"] == pytest.approx(A / 2, abs=1e-4)


def test_bottleneck_is_where_the_ion_is_squeezed() -> None:
    found = path_features(rock_salt_band())
    assert found["path: nearest anion, bottleneck"] < 0
    assert found["path: bond valence, bottleneck"] > 0


def test_where_the_cell_begins_does_not_matter() -> None:
    cell = rock_salt_band(jitter=1)
    same(path_features(cell), path_features(moved(cell, np.array([0.3, -1.7, 2.2]))))
    shifts = np.random.default_rng(0).integers(-2, 3, size=cell.frac.shape)
    shifts[:5] = [1, 0, -1]  # images together, or the hop would be another one
    same(path_features(cell), path_features(moved(cell, shifts)))


def test_a_hop_of_a_band_is_taken_as_it_is() -> None:
    cell = rock_salt_band(jitter=1)
    long = cell.frac.copy()
    long[:5] = cell.frac[0] + np.linspace(0, 1, 5)[:, None] * [0.75, 0, 0]
    found = path_features(Cell(cell.lattice, long, cell.numbers))
    assert found["path_distance"] == pytest.approx(0.75 * 2 * A, abs=1e-3)


def test_the_way_back_swaps_the_ends() -> None:
    cell = rock_salt_band(jitter=2)
    back = Cell(cell.lattice, np.concatenate([cell.frac[4::-1], cell.frac[5:]]), cell.numbers)
    there, again = path_features(cell), path_features(back)
    for name in ("fin_cn", "avg_fin_bond_length", "n_verts_fin", "fin_volume"):
        assert again[name.replace("fin", "ini")] == pytest.approx(there[name], abs=1.1e-4)
    assert again["path: bond valence, image 1"] == pytest.approx(
        there["path: bond valence, image 3"], abs=1.1e-4
    )
    assert again["path: nearest anion, ends"] == pytest.approx(
        -there["path: nearest anion, ends"], abs=1.1e-4
    )


def test_two_ends_stand_for_the_straight_path_between_them() -> None:
    straight = rock_salt_band(jitter=3)
    frac = straight.frac.copy()
    # Less than half a cell in every direction, so that no periodic image is nearer.
    hop = 0.9 * (frac[4] - frac[0])
    frac[:5] = frac[0] + np.linspace(0, 1, 5)[:, None] * hop
    band = Cell(straight.lattice, frac, straight.numbers)
    ends = Ends(band.without([1, 2, 3, 4]), band.without([0, 1, 2, 3]))
    same(path_features(band), path_features(ends))
    elsewhere = ends.final.frac.copy()
    elsewhere[0] += [1, 0, -2]  # a structure on its own may be written with its ion anywhere
    final = Cell(ends.final.lattice, elsewhere, ends.final.numbers)
    same(path_features(band), path_features(Ends(ends.initial, final)))


def test_the_final_host_may_be_relaxed() -> None:
    band = rock_salt_band(jitter=3)
    first, last = band.without([1, 2, 3, 4]), band.without([0, 1, 2, 3])
    wider = Cell(1.1 * last.lattice, last.frac, last.numbers)
    found, relaxed = path_features(Ends(first, last)), path_features(Ends(first, wider))
    for name in ("avg_fin_bond_length", "avg_fin_facet_distance"):
        assert relaxed[name] == pytest.approx(1.1 * found[name], abs=3e-4)
    assert relaxed["avg_ini_bond_length"] == found["avg_ini_bond_length"]


def test_a_path_may_run_through_an_atom() -> None:
    cell = rock_salt_band()
    frac = cell.frac.copy()
    frac[5] = frac[2]
    found, failures = measure_path(Cell(cell.lattice, frac, cell.numbers))
    assert not failures
    assert found["path: nearest cation, image 2"] == 0
    assert np.isfinite([found[name] for name in PATH_FEATURES if "cation elect" not in name]).all()


def test_a_cell_that_is_no_crystal_has_no_polyhedra() -> None:
    cell = rock_salt_band()
    found, failures = measure_path(Cell(np.diag([1e5, 4.2, 4.2]), cell.frac, cell.numbers))
    assert list(failures) == ["Voronoi polyhedron (ini)", "Voronoi polyhedron (fin)"]
    assert np.isnan(found["fin_cn"]) and np.isfinite(found["path: bond valence, image 0"])


@pytest.mark.parametrize(
    ("formula", "anions"),
    [
        ("Na O I", "O I"),
        ("Li S O", "O"),
        ("Li C O", "O"),
        ("Li P S Cl", "S Cl"),
        ("Na V P O F", "O F"),
        ("Li N", "N"),
        ("Mg Sb", "Sb"),
    ],
)
def test_anions(formula: str, anions: str) -> None:
    elements = formula.split()
    found = is_anion(np.array([Z_OF[element] for element in elements]))
    assert [e for e, yes in zip(elements, found, strict=True) if yes] == anions.split()


def test_noble_gases_have_no_electronegativity_and_say_so_quietly(
    recwarn: pytest.WarningsRecorder,
) -> None:
    assert np.isnan(species_of(Z_OF["Ar"], anion=False).electronegativity)
    assert not recwarn.list


def test_bond_valence_lengths_are_those_of_pymatgen() -> None:
    from pymatgen.analysis.bond_valence import calculate_bv_sum
    from pymatgen.core import Lattice, Structure

    pair = Structure(Lattice.cubic(20), ["Li", "O"], [[0, 0, 0], [0.1, 0, 0]])
    valence = calculate_bv_sum(pair[0], pair.get_neighbors(pair[0], 3.0))
    expected = 2.0 + 0.31 * np.log(abs(valence))  # 0.31 Å is pymatgen's decay
    assert bond_valence_length(Z_OF["Li"], Z_OF["O"]) == pytest.approx(expected, abs=1e-9)
    assert np.isnan(bond_valence_length(Z_OF["Li"], Z_OF["Ar"]))


@needs_data
def test_published_doubled_sites_and_hop_lengths(tmp_path: Path) -> None:
    folder = SHARED / "data" / "barriers"
    with (folder / "tabulation.csv").open(encoding="utf-8", newline="") as stream:
        lengths = {row["sys_name"]: float(row["hop_length_A"]) for row in csv.DictReader(stream)}
    with gzip.open(folder / "train.json.gz") as stream:
        records = json.load(stream)
    doubled = [r for r in records if r["sys_name"].startswith("Na4MnAlP3O12_")]
    assert len(doubled) == 3
    (tmp_path / "some.json").write_text(json.dumps([*records[:5], *doubled]))
    for band in read_bands(tmp_path / "some.json").bands:
        found, failures = measure_path(band.cell)
        assert not failures
        assert found["path_distance"] == pytest.approx(lengths[band.name], abs=1e-3)
        assert 1 < found["avg_ini_bond_length"] < 4
