"""The starter set: counts, crystals against known facts, bands, and what a broken file says."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

pytest.importorskip("pymatgen")

from pymatgen.core import Composition, Element

import training.starter
from linegraph.errors import InputError
from training.bands import IMAGES, Band
from training.starter import COMPOUNDS, starter_bands
from training.starter.build import (
    Crystal,
    build_band,
    build_bands,
    conventional_cell,
    supercell,
)
from training.starter.records import Compound, load_compounds

ALL = load_compounds(COMPOUNDS)
HOPS = [(compound, hop) for compound in ALL for hop in compound.hops]

#: Densities in g/cm3 from handbooks: nothing in the file states them.
DENSITIES = {
    "LiFePO4": 3.60,
    "LiCoO2": 5.05,
    "LiF": 2.64,
    "NaCl": 2.165,
    "KCl": 1.988,
    "KI": 3.12,
    "LiI": 4.08,
    "TiO2 anatase": 3.89,
    "TiO2 rutile": 4.25,
    "TiS2": 3.24,
    "LiMn2O4": 4.28,
    "LiAlO2": 2.615,
    "Li3N": 1.29,
    "Si": 2.33,
    "Ge": 5.32,
    "LiTi2(PO4)3": 2.95,
}


@pytest.fixture(scope="module")
def bands() -> list[Band]:
    return starter_bands()


@pytest.fixture(scope="module")
def crystals() -> dict[str, Crystal]:
    return {compound.name: conventional_cell(compound) for compound in ALL}


def distances(band: Band, atoms: slice, others: slice) -> NDArray[np.float64]:
    """All distances between two groups of atoms, nearest image, ``[A, B]`` in Å."""
    frac = band.cell.frac
    off = frac[atoms, None, :] - frac[None, others, :]
    off -= np.round(off)
    shifts = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    vectors = (off[:, :, None, :] + shifts) @ band.cell.lattice
    nearest: NDArray[np.float64] = np.linalg.norm(vectors, axis=-1).min(axis=-1)
    return nearest


def test_covers_ions_families_and_counts(bands: list[Band]) -> None:
    assert len(bands) == len(HOPS) >= 30
    assert len({band.system for band in bands}) == len(ALL) >= 15
    ions = [Element.from_Z(int(band.cell.numbers[0])).symbol for band in bands]
    assert {"Li", "Na", "Mg", "K"} <= set(ions)
    assert len({band.family for band in bands}) >= 10


def test_names_are_unique(bands: list[Band]) -> None:
    assert len({band.name for band in bands}) == len(bands)


def test_every_number_has_a_source(bands: list[Band]) -> None:
    year = re.compile(r"\((?:Wiley, )?(19|20)\d\d\)")
    doi = re.compile(r"10\.\d{4,}/\S+")
    for compound, hop in HOPS:
        for source in (compound.source, hop.source):
            assert year.search(source.reference), (compound.name, source.reference)
            assert source.checked in ("search", "memory")
            assert not source.doi or doi.fullmatch(source.doi)
        assert hop.method
    for band, (_, hop) in zip(bands, HOPS, strict=True):
        assert hop.source.reference in band.source
        assert hop.method in band.source


@pytest.mark.parametrize("compound", ALL, ids=lambda compound: compound.name)
def test_crystal_is_the_compound(compound: Compound, crystals: dict[str, Crystal]) -> None:
    crystal = crystals[compound.name]
    occupied = [site for site in compound.sites if site.element is not None]
    assert len(crystal) == sum(site.multiplicity for site in occupied)
    for site in occupied:
        assert crystal.labels.count(site.label) == site.multiplicity
    made = Composition("".join(crystal.elements)).reduced_composition
    assert made == Composition(compound.formula).reduced_composition


@pytest.mark.parametrize("name", DENSITIES)
def test_density(name: str, crystals: dict[str, Crystal]) -> None:
    crystal = crystals[name]
    grams = sum(float(Element(symbol).atomic_mass) for symbol in crystal.elements) / 6.02214076e23
    volume = abs(np.linalg.det(crystal.lattice)) * 1e-24
    assert grams / volume == pytest.approx(DENSITIES[name], rel=0.02)


def test_hop_lengths_follow_from_the_lattice(bands: list[Band]) -> None:
    length = {b.name: np.linalg.norm(b.cell.cart[IMAGES - 1] - b.cell.cart[0]) for b in bands}
    assert length["LiFePO4: Li along b"] == pytest.approx(6.010 / 2)
    assert length["LiCoO2: Li in-plane, oxygen dumbbell"] == pytest.approx(2.8161)
    assert length["LiMn2O4: Li 8a-16c-8a"] == pytest.approx(8.245 * np.sqrt(3) / 4)
    assert length["Li3OCl: Li along the octahedron edge"] == pytest.approx(3.91 / np.sqrt(2))
    assert length["Li3N: Li within the Li2N plane"] == pytest.approx(3.648 / np.sqrt(3), rel=1e-5)
    assert length["Li3Nd3Te2O12: Li 24d-24d"] == pytest.approx(12.556 * np.sqrt(6) / 8)


def test_images_are_even_and_of_one_element(bands: list[Band]) -> None:
    for band, (_, hop) in zip(bands, HOPS, strict=True):
        cell = band.cell
        assert set(cell.numbers[:IMAGES]) == {Element(hop.ion).Z}, band.name
        steps = np.diff(cell.cart[:IMAGES], axis=0)
        np.testing.assert_allclose(steps, np.broadcast_to(steps[0], steps.shape), atol=1e-9)
        assert 1.5 <= np.linalg.norm(steps.sum(axis=0)) <= 6.0, band.name
        assert band.target == hop.barrier
        assert 0 < hop.barrier < 5


def test_bands_are_small_but_images_do_not_meet(bands: list[Band]) -> None:
    shifts = [shift for shift in itertools.product((-1, 0, 1), repeat=3) if any(shift)]
    for band in bands:
        assert 40 <= len(band.cell) <= 130, band.name
        assert np.linalg.norm(shifts @ band.cell.lattice, axis=1).min() >= 7.3, band.name


def test_no_atoms_on_top_of_each_other(bands: list[Band]) -> None:
    for band in bands:
        host, images = slice(IMAGES, None), slice(0, IMAGES)
        between = distances(band, host, host)
        np.fill_diagonal(between, np.inf)
        # The shortest real bonds here are C-C (1.43 Å) and P-O (1.51 Å).
        assert between.min() > 1.4, band.name
        to_host = distances(band, images, host)
        assert to_host.min() > 0.5, band.name
        assert to_host[[0, -1]].min() > 1.5, band.name


def test_only_the_ions_of_the_hop_are_missing(
    bands: list[Band], crystals: dict[str, Crystal]
) -> None:
    for band, (compound, hop) in zip(bands, HOPS, strict=True):
        crystal = crystals[compound.name]
        copies = abs(np.linalg.det(band.cell.lattice) / np.linalg.det(crystal.lattice))
        full = round(copies * len(crystal))
        if hop.mechanism == "interstitial":
            missing = round(copies * crystal.elements.count(hop.ion))
        else:
            ends = 1 + (compound.site(hop.to_site).element is not None)
            missing = ends + len(hop.also_vacant)
        assert len(band.cell) == IMAGES + full - missing, band.name


def test_supercell_keeps_the_crystal(crystals: dict[str, Crystal]) -> None:
    halite = crystals["NaCl"]
    primitive = supercell(halite, [[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    assert sorted(primitive.elements) == ["Cl", "Na"]
    assert len(supercell(halite, np.diag([2, 1, 3]))) == 6 * len(halite)
    # Half an edge leads from Na to Cl; one and a half edges would even have the right count.
    for factor in (0.3, 0.5, 1.5):
        with pytest.raises(InputError, match="not a period"):
            supercell(halite, np.diag([factor, 1, 1]))


def test_caller_cannot_spoil_the_set(bands: list[Band]) -> None:
    mine = starter_bands()
    mine.clear()
    assert len(starter_bands()) == len(bands)
    assert starter_bands()[0] is bands[0]


def test_readme_lists_every_hop() -> None:
    readme = COMPOUNDS.with_name("README.md").read_text(encoding="utf-8")
    for compound, hop in HOPS:
        row = f"| {compound.name} | {compound.family} | {hop.name} | {hop.barrier:g} | {hop.method}"
        assert f"{row} | {hop.source.reference} | {hop.source.checked} |" in readme
    assert f"{len(HOPS)} hops" in readme
    assert "not a benchmark" in readme


def test_without_pymatgen(monkeypatch: pytest.MonkeyPatch) -> None:
    training.starter._bands.cache_clear()
    monkeypatch.delitem(sys.modules, "training.starter.build")
    monkeypatch.delattr(training.starter, "build")
    monkeypatch.setitem(sys.modules, "pymatgen.core", None)
    with pytest.raises(InputError, match="needs pymatgen"):
        starter_bands()


def salt() -> dict[str, Any]:
    """A correct record: NaCl with its one hop."""
    records = yaml.safe_load(COMPOUNDS.read_text(encoding="utf-8"))
    record: dict[str, Any] = next(record for record in records if record["name"] == "NaCl")
    return record


def drop(*keys: str | int) -> Callable[[Any], None]:
    def change(record: Any) -> None:
        for key in keys[:-1]:
            record = record[key]
        del record[keys[-1]]

    return change


def put(value: object, *keys: str | int) -> Callable[[Any], None]:
    def change(record: Any) -> None:
        for key in keys[:-1]:
            record = record[key]
        record[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (drop("lattice"), "field lattice: is missing"),
        (drop("structure", "source"), "field structure.source: is missing"),
        (drop("hops", 0, "source"), "field hops.0.source: is missing"),
        (drop("hops", 0, "barrier"), "field hops.0.barrier: is missing"),
        (put("0.8 eV", "hops", 0, "barrier"), "expected a positive number"),
        (put(-0.1, "hops", 0, "barrier"), "expected a positive number"),
        (put("guess", "hops", 0, "checked"), "none of search, memory"),
        (put("teleport", "hops", 0, "mechanism"), "none of vacancy, interstitial"),
        (put(1, "hops", 0, "barier"), "field hops.0.barier: is not a known field"),
        (put([5.64, 5.64], "lattice"), "expected 6 numbers"),
        (put([5.64, 5.64, -5.64, 90, 90, 90], "lattice"), "positive"),
        (put([5.64, 5.64, 5.0, 90, 90, 90], "lattice"), "field space_group: cannot be applied"),
        (put("Fm-3x", "space_group"), "field space_group: cannot be applied"),
        (put("NaCl2", "formula"), "field formula: the sites make NaCl"),
        (put("Xx", "sites", 0, "element"), "'Xx' is no element"),
        (put("Cl", "sites", 0, "label"), "'Cl' occurs twice"),
        (put(8, "sites", 1, "multiplicity"), "Cl has multiplicity 4, not 8"),
        (put([0.5, 0.4, 0], "hops", 0, "to", "xyz"), "away from the nearest site Na"),
        (put("Cl", "hops", 0, "to", "site"), "site Cl holds Cl, not Na"),
        (put("gap", "hops", 0, "to", "site"), "there is no site 'gap'"),
        (put([0, 0, 0], "hops", 0, "to", "xyz"), "the hop is 0.00 Å long"),
        (put([3, 3, 0], "hops", 0, "to", "xyz"), "Å long, expected"),
        (put([[0.1, 0, 0]], "hops", 0, "also_vacant"), "there is no Na to remove"),
        (put(2.5, "hops", 0, "clearance"), "an image is only 1.99 Å from a host atom"),
        (put([[0.3, 0, 0], [0, 1, 0], [0, 0, 1]], "cell"), "field cell: is not a period"),
        (put([], "hops"), "expected a list with something in it"),
    ],
)
def test_a_broken_record_names_the_compound(
    tmp_path: Path, change: Callable[[Any], None], problem: str
) -> None:
    record = salt()
    change(record)
    file = tmp_path / "broken.yaml"
    file.write_text(yaml.safe_dump([record]), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        build_bands(file)
    message = str(caught.value)
    assert problem in message
    assert "record NaCl" in message
    assert "broken.yaml" in message


def test_an_unbroken_record_builds(tmp_path: Path) -> None:
    file = tmp_path / "good.yaml"
    file.write_text(yaml.safe_dump([salt()]), encoding="utf-8")
    assert [band.name for band in build_bands(file)] == ["NaCl: Na along [110]"]


def test_interstitial_empties_the_host(tmp_path: Path) -> None:
    record = salt()
    record["hops"][0]["mechanism"] = "interstitial"
    file = tmp_path / "empty.yaml"
    file.write_text(yaml.safe_dump([record]), encoding="utf-8")
    compound = load_compounds(file)[0]
    band = build_band(compound, compound.hops[0], conventional_cell(compound))
    assert set(band.cell.numbers[IMAGES:]) == {Element("Cl").Z}


@pytest.mark.parametrize("content", ["", "a: 1", "- [", "- 7"])
def test_not_a_list_of_compounds(tmp_path: Path, content: str) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match="odd.yaml"):
        load_compounds(file)


def test_two_compounds_of_one_name(tmp_path: Path) -> None:
    file = tmp_path / "twice.yaml"
    file.write_text(yaml.safe_dump([salt(), salt()]), encoding="utf-8")
    with pytest.raises(InputError, match=r"record NaCl.*used twice"):
        load_compounds(file)
