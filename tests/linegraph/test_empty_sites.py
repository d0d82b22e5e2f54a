"""Empty sites of crystals where they are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("spglib")
pytest.importorskip("pymatgen")

from pymatgen.core import Lattice, Structure

from linegraph import Cell, InputError
from linegraph.elements import SYMBOLS
from linegraph.empty_sites import LARGEST, EmptySite, empty_sites_in_words, find_empty_sites
from linegraph.hops import hops
from linegraph.percolation import percolation
from linegraph.reading import as_cell
from linegraph.supercell import band_of
from linegraph.surroundings import SEPARATE, Surroundings
from training.read import read_bands

from .. import crystals
from ..goldens import SHARED, needs_data
from .test_hops import GAP, cell_of, lengths, structure, variants


def antifluorite(cation: str, anion: str, a: float) -> Structure:
    return Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(a), [anion, cation], [[0, 0, 0], [0.25] * 3]
    )


def frac_of(found: Sequence[EmptySite]) -> NDArray[np.float64]:
    return np.array([site.frac for site in found]).reshape(-1, 3)


def around(site: EmptySite) -> dict[str, tuple[int, float]]:
    return {shell.element: (shell.atoms, round(shell.distance, 2)) for shell in site.nearest}


def off(cell: Cell, site: EmptySite, places: Any) -> float:
    """Å from a site to the nearest of some places."""
    lattice = Lattice(cell.lattice)
    return float(lattice.get_all_distances([site.frac], np.reshape(places, (-1, 3))).min())


#: All kinds of a crystal: sites per cell, one of them, and the nearest shells.
KNOWN: dict[str, tuple[Callable[[], Any], str, list[tuple[int, Any, dict[str, Any]]]]] = {
    "16c between 8a of the spinel": (
        lambda: cell_of("LiMn2O4"),
        "Li",
        [(16, GAP, {"Li": (2, 1.79), "O": (6, 2.17), "Mn": (6, 2.92)})],
    ),
    "16c of a sulphide spinel": (
        lambda: cell_of("MgSc2S4"),
        "Mg",
        [(16, GAP, {"Mg": (2, 2.30), "S": (6, 2.74), "Sc": (6, 3.76)})],
    ),
    "tetrahedra between three octahedra of a layer": (
        lambda: cell_of("LiCoO2"),
        "Li",
        [(6, [0, 0, 0.369], {"Li": (3, 1.70), "O": (4, 1.82), "Co": (1, 1.84)})],
    ),
    "octahedra and tetrahedra between layers": (
        lambda: cell_of("TiS2"),
        "Mg",
        [
            (2, [2 / 3, 1 / 3, 0.381], {"S": (4, 2.10), "Ti": (3, 2.93)}),
            (1, [0, 0, 0.5], {"S": (6, 2.43), "Ti": (2, 2.85)}),
        ],
    ),
    "4b of antifluorite": (
        lambda: antifluorite("Li", "O", 4.62),
        "Li",
        [(4, [0, 0, 0.5], {"Li": (8, 2.00), "O": (6, 2.31)})],
    ),
    "4b of fluorite, for the anion": (
        lambda: antifluorite("F", "Ca", 5.46),
        "F",
        [(4, [0, 0, 0.5], {"F": (8, 2.36), "Ca": (6, 2.73)})],
    ),
    "tetrahedra of rock salt": (
        lambda: cell_of("LiCl"),
        "Li",
        [(8, [0.25, 0.25, 0.25], {"Cl": (4, 2.22), "Li": (4, 2.22)})],
    ),
    "both holes of a face-centred crystal": (
        lambda: crystals.fcc(5.13, 17),
        "Li",
        [
            (1, [0.5, 0.5, 0.5], {"Cl": (6, 2.56)}),
            (2, [0.25, 0.25, 0.25], {"Cl": (4, 2.22)}),
        ],
    ),
    "4b of anatase": (
        lambda: cell_of("TiO2 anatase"),
        "Li",
        [
            (4, [0, 0, 0.5], {"O": (4, 1.93), "Ti": (4, 2.68)}),
            (8, [0.25, 0, 0.375], {"O": (2, 1.85), "Ti": (4, 2.43)}),
        ],
    ),
    "tetrahedra of silicon": (
        lambda: cell_of("Si"),
        "Li",
        [(8, [0, 0, 0.5], {"Si": (4, 2.35)})],
    ),
    "none in the anti-perovskite": (lambda: cell_of("Li3OCl"), "Li", []),
    "none in a metal without room": (lambda: crystals.fcc(4.05), "Li", []),
    "none between the atoms of the ion": (lambda: crystals.fcc(4.05), "Al", []),
}


@pytest.mark.parametrize(("make", "ion", "expected"), KNOWN.values(), ids=KNOWN.keys())
def test_known_crystals(make: Any, ion: str, expected: list[tuple[int, Any, Any]]) -> None:
    cell = as_cell(make())
    found = find_empty_sites(cell, ion)
    assert [site.multiplicity for site in found] == [number for number, *_ in expected]
    assert [site.name for site in found] == [f"empty{n + 1}" for n in range(len(expected))]
    for site, (_, place, shells) in zip(found, expected, strict=True):
        assert off(cell, site, place) < 0.02
        assert around(site).items() >= shells.items()


def test_the_second_lithium_site_of_nasicon() -> None:
    """18e of R-3c, between 6b."""
    cell = cell_of("LiTi2(PO4)3")
    found = find_empty_sites(cell)
    places = {site.multiplicity: site for site in found if site.multiplicity == 18}
    assert places[18].frac[2] == pytest.approx(1 / 12, abs=1e-3)
    assert around(places[18])["O"] == (6, 2.32)


def test_a_host_before_the_lithium_is_in() -> None:
    """Iron phosphate: sites are where lithium is in LiFePO4, in whose axes it is given here."""
    host, full = cell_of("FePO4"), cell_of("LiFePO4")
    lithium = full.frac[full.numbers == 3]
    found = find_empty_sites(host, "Li")
    assert sorted(site.multiplicity for site in found) == [4, 4, 8]
    site = min(found, key=lambda site: off(host, site, lithium))
    assert site.multiplicity == 4
    assert off(host, site, lithium) < 0.01
    removed = full.without(np.flatnonzero(full.numbers == 3).tolist())
    found = find_empty_sites(removed, "Li")
    assert min(off(removed, site, lithium) for site in found) < 0.01


def test_lithium_sites_without_symmetry() -> None:
    host, full = cell_of("FePO4"), cell_of("LiFePO4")
    rng = np.random.default_rng(2)
    shaken = host.frac + rng.normal(0, 0.02, host.frac.shape) @ np.linalg.inv(host.lattice)
    found = find_empty_sites(Cell(host.lattice, shaken, host.numbers), "Li")
    assert {site.multiplicity for site in found} == {1}
    for lithium in full.frac[full.numbers == 3]:
        assert min(off(host, site, lithium) for site in found) < 0.15


def test_hops_of_the_spinel_lead_over_them() -> None:
    spinel = cell_of("LiMn2O4")
    found = find_empty_sites(spinel)
    over = hops(spinel, empty_sites=frac_of(found), max_length=2.0)
    assert lengths(over) == [(1.785, 32)]
    assert over[0].label == f"Li1-{found[0].name}-1"
    assert over[0].empty == (False, True)
    assert [level.barrier for level in percolation(over, [0.3])] == [0.3] * 3


def test_a_hop_over_a_tetrahedron_of_a_layer_has_room_made() -> None:
    """The tetrahedron shares faces with three octahedra of lithium, so all three are empty."""
    layered = cell_of("LiCoO2")
    over = hops(layered, empty_sites=frac_of(find_empty_sites(layered)), max_length=1.8)
    assert [level.barrier for level in percolation(over, [0.2])] == [0.2, 0.2, None]
    band = band_of(layered, over[0])
    cobalt, lithium = (int((band.numbers[5:] == z).sum()) for z in (27, 3))
    assert cobalt - lithium == 3


def test_hops_between_empty_sites_of_a_host() -> None:
    host = cell_of("FePO4")
    found = find_empty_sites(host, "Li")
    over = hops(host, "Li", empty_sites=frac_of(found), max_length=3)
    assert {hop.empty for hop in over} == {(True, True)}
    band = band_of(host, over[0])
    assert (band.numbers[:5] == 3).all()
    assert not (band.numbers[5:] == 3).any()
    assert len(band) - 5 == 24 * round(len(band) / 24)


@pytest.mark.parametrize("name", ["LiMn2O4", "LiCoO2"])
def test_the_same_sites_in_any_cell(name: str) -> None:
    (plain,) = find_empty_sites(structure(name))
    for key, made in variants(name).items():
        found = find_empty_sites(made)
        (site,) = found
        assert site.multiplicity / len(made) == plain.multiplicity / len(structure(name)), key
        for shell, expected in zip(site.nearest, plain.nearest, strict=True):
            assert shell[:2] == expected[:2], key
            assert shell.distance == pytest.approx(expected.distance, abs=0.01), key
        assert all(0 <= x < 1 for x in site.frac)
        assert hops(made, empty_sites=frac_of(found), max_length=2.0), key


def test_sites_that_are_known() -> None:
    spinel = cell_of("LiMn2O4")
    assert find_empty_sites(spinel, empty_sites=GAP) == []
    assert find_empty_sites(spinel, empty_sites=[0.375, 0.375, 0.125]) == []
    # 8b, twice, is another kind and far enough: names go on from it.
    other = [[0.5, 0.5, 0.5], [0.25, 0.25, 0.75]]
    (found,) = find_empty_sites(spinel, empty_sites=other)
    assert (found.name, found.multiplicity) == ("empty2", 16)
    over = hops(spinel, empty_sites=[*other, found.frac], max_length=2.0)
    assert over[0].label == "Li1-empty2-1"


def test_sites_keep_apart() -> None:
    for name in ("FePO4", "LiFePO4", "TiO2 rutile", "LiTi2(PO4)3"):
        made = structure(name)
        found = find_empty_sites(made, "Li")
        for site in found:
            distances = made.lattice.get_all_distances([site.frac], frac_of(found))[0]
            assert sorted(distances)[0] < 1e-6
            assert all(d >= SEPARATE for d in sorted(distances)[1:])
            lithium = [atom.frac_coords for atom in made if atom.specie.symbol == "Li"]
            if lithium:
                assert made.lattice.get_all_distances([site.frac], lithium).min() >= SEPARATE


def test_no_chain_of_sites_that_are_too_near() -> None:
    rutile = structure("TiO2 rutile")
    (site,) = find_empty_sites(rutile, "Li")
    assert site.multiplicity == 4
    # Squeezed along the channel, where the sites are half a period apart.
    a, _, c = rutile.lattice.abc
    for scale, many in ((0.97, 1), (0.9, 0)):
        lattice = Lattice.tetragonal(a, scale * c)
        found = find_empty_sites(Structure(lattice, rutile.species, rutile.frac_coords), "Li")
        assert len([site for site in found if site.multiplicity == 4]) == many


COUNTER = {
    "LiFePO4": ("Li", {"O"}),
    "Li3OCl": ("Li", {"O", "Cl"}),
    "MgIn2S4": ("Mg", {"S"}),
    "LiC6": ("Li", {"C"}),
    "Si": ("Li", {"Si"}),
    "LiF": ("F", {"Li"}),
    "Li3Nd3Te2O12": ("O", {"Li", "Nd", "Te"}),
}


@pytest.mark.parametrize("name", COUNTER)
def test_counter_ions(name: str) -> None:
    ion, expected = COUNTER[name]
    assert Surroundings(cell_of(name), ion).counter == expected


@pytest.mark.parametrize("off", [-1e-6, 1e-6])
def test_counter_ions_do_not_depend_on_the_last_digits(off: float) -> None:
    """Phosphorus as near to a metal as to an oxygen, and a little more or less."""
    places = np.array([[0, 0, 0], [2 + off, 0, 0], [-2, 0, 0]]) / 9
    assert Surroundings(Cell(9 * np.eye(3), places, [15, 3, 8]), "Li").counter == {"O"}


@needs_data
@pytest.mark.parametrize(
    ("step", "low", "high"),
    [(7, 0.94, 0.995), pytest.param(1, 0.975, 0.977, marks=pytest.mark.slow)],
)
def test_ends_of_published_hops_have_room(step: int, low: float, high: float) -> None:
    """The bounds are theirs: 98 % of the ends keep all of them."""
    rooms, hop_lengths = [], []
    for band in read_bands(SHARED / "data" / "barriers" / "train.json.gz").bands[::step]:
        cell = band.cell
        hop_lengths.append(float(np.linalg.norm(cell.cart[4] - cell.cart[0])))
        ion = Surroundings(cell.without([0, 1, 2, 3, 4]), SYMBOLS[cell.numbers[0] - 1])
        rooms += [ion.room(cell.frac[end]) for end in (0, 4)]
    share = float(np.mean(np.array(rooms) >= 1))
    assert low < share < high
    assert np.median(rooms) > 1.2
    # Hops over the middle of a longer one are rare among them.
    assert min(hop_lengths) > SEPARATE
    assert sum(length < 2 for length in hop_lengths) <= 3


def test_words() -> None:
    (site,) = find_empty_sites(cell_of("LiCoO2"))
    line = "empty1 at 0 0 0.369 (6 in the cell): 3 Li at 1.70 Å, 4 O at 1.82 Å, 1 Co at 1.84 Å"
    assert str(site) == line
    assert empty_sites_in_words([site]) == ["empty sites found, fractional:", f"  {line}"]
    assert empty_sites_in_words([]) == ["no empty site is found that has room for the ion"]
    many = empty_sites_in_words([site] * 12)
    assert (len(many), many[-1]) == (12, "  and 2 kinds more")
    assert site.as_dict()["nearest"][1] == {
        "element": "O", "atoms": 4, "distance_A": pytest.approx(1.82, abs=5e-3)
    }  # fmt: skip


def test_nothing_far_from_everything() -> None:
    molecule = Cell(20 * np.eye(3), [[0.5, 0.5, 0.5], [0.58, 0.5, 0.5]], [3, 9])
    assert find_empty_sites(molecule) == []
    assert find_empty_sites(Cell(6 * np.eye(3), [[0, 0, 0]], [9]), "Li") == []
    slab = [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0], [0, 0.5, 0]]
    for site in find_empty_sites(Cell(np.diag([4.2, 4.2, 40]), slab, [12, 12, 8, 8]), "Li"):
        assert dict(around(site))["O"][1] < 1.5 * 2.2


def _disordered() -> Structure:
    made = structure("NaCl")
    made[0] = {"Na": 0.5}
    return made


def _large() -> Cell:
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.arange(6)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) / 6
    return Cell(15 * np.eye(3), grid + rng.normal(0, 0.01, grid.shape), [3, 8] + [8, 22] * 107)


BAD: dict[str, tuple[Any, dict[str, Any], str]] = {
    "partly occupied": (_disordered, {}, "field elements: site 0 .* partially occupied"),
    "two usual ions": (lambda: cell_of("LiAlO2"), {}, "field ion: may be Li or Al"),
    "no ion": (lambda: cell_of("FePO4"), {}, "field ion: none of the usual ones"),
    "no element": (lambda: cell_of("LiF"), {"ion": "L"}, "field ion: 'L' is no element"),
    "words": (lambda: cell_of("LiF"), {"empty_sites": ["8a"]}, "field empty_sites: not an array"),
    "large": (_large, {}, f"field empty_sites: .* up to {LARGEST} atoms besides Li, .* has 215"),
}


@pytest.mark.parametrize(("make", "options", "message"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_used(make: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        find_empty_sites(make(), **options)


#: Crystals that do not exist: edges of the cell and gamma, and a position each of Li, O and P.
RANDOM = {
    "P422": (
        (5.65, 5.65, 4.68, 90),
        ((1.0, 0.75, 0.5), (0.04, 0.295, 0.212), (0.625, 0.75, 0.375)),
    ),
    "P6_4": (
        (7.69, 7.69, 6.57, 120),
        ((0.125, 0.625, 0.625), (1.0, 0.375, 0.75), (0.75, 0.375, 0.75)),
    ),
    "P-3": (
        (6.21, 6.21, 6.57, 120),
        ((0.0, 0.875, 0.75), (0.5, 0.875, 0.75), (0.25, 1.0, 0.5)),
    ),
    "Pn-3m": (
        (6.86, 6.86, 6.86, 90),
        ((0.625, 0.625, 0.125), (0.875, 0.875, 0.875), (0.25, 0.125, 0.625)),
    ),
    "P3_112": (
        (6.01, 6.01, 7.55, 120),
        ((0.75, 0.625, 0.875), (0.625, 0.125, 0.25), (0.0, 0.875, 0.25)),
    ),
}


@pytest.mark.parametrize("group", RANDOM)
def test_the_same_sites_wherever_the_origin_is(group: str) -> None:
    (*edges, gamma), positions = RANDOM[group]
    lattice = Lattice.from_parameters(*edges, 90, 90, gamma)
    made = as_cell(Structure.from_spacegroup(group, lattice, ["Li", "O", "P"], positions))
    plain = [(site.multiplicity, around(site)) for site in find_empty_sites(made, "Li")]
    assert plain
    rng = np.random.default_rng(1)
    for shift in rng.random((8, 3)):
        moved = Cell(made.lattice, (made.frac + shift) % 1, made.numbers)
        found = find_empty_sites(moved, "Li")
        assert [site.multiplicity for site in found] == [many for many, _ in plain]
        for site, (_, shells) in zip(found, plain, strict=True):
            ours = around(site)
            assert {one: n for one, (n, _) in ours.items()} == {
                one: n for one, (n, _) in shells.items()
            }
            assert all(abs(ours[one][1] - shells[one][1]) < 1e-3 for one in shells)
