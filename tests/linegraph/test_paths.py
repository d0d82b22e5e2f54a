"""The views of a band, and of the two ends of a hop."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from linegraph import Cell, CrystalGraph, Ends, InputError, LineGraph, crystal_graph, views
from linegraph.crystal import SHELL_TOL
from linegraph.paths import IMAGES, LOCAL_NEIGHBORS, VIEWS, check_images, local_graph

from .. import crystals, goldens


def a_band(seed: int = 0, atoms: int = 40, images: tuple[int, ...] = (3,) * 5) -> Cell:
    """Five images on a line through a host, some of them outside of the cell."""
    rng = np.random.default_rng(seed)
    lattice = np.diag([8.0, 9.0, 10.0]) + rng.uniform(-1, 1, (3, 3))
    path = [[0.85 + 0.08 * i, 0.5, 0.4] for i in range(5)]
    host = rng.uniform(-0.2, 1.2, (atoms - 5, 3))
    return Cell(lattice, np.concatenate([path, host]), [*images, *rng.integers(4, 60, atoms - 5)])


def assert_same(ours: CrystalGraph, theirs: CrystalGraph) -> None:
    assert sorted(ours.keys()) == sorted(theirs.keys())
    for key in theirs.keys():  # noqa: SIM118
        # A feature that does not exist is NaN.
        assert ours[key].nan_to_num(-1.0).equal(theirs[key].nan_to_num(-1.0)), key


@pytest.mark.parametrize("canonical", [False, True])
def test_every_view(canonical: bool) -> None:
    cell = a_band()
    graphs = views(cell, VIEWS, canonical=canonical)
    assert tuple(graphs) == VIEWS
    wanted = {
        "initial": cell.without([1, 2, 3, 4]),
        "final": cell.without([0, 1, 2, 3]),
        "band": cell,
        "crystal": cell,
    }
    for name, part in wanted.items():
        assert_same(graphs[name], LineGraph()(crystal_graph(part, canonical=canonical)))
    assert_same(graphs["local"], LineGraph()(local_graph(cell)))
    assert graphs["initial"].num_nodes == graphs["final"].num_nodes == len(cell) - 4
    torch.testing.assert_close(graphs["initial"].pos[0].double(), torch.tensor(cell.cart[0]))
    torch.testing.assert_close(graphs["final"].pos[0].double(), torch.tensor(cell.cart[4]))
    assert graphs["final"].z.tolist() == cell.numbers[4:].tolist()


def test_settings_reach_the_graphs() -> None:
    cell = Cell(a_band().lattice + 0.4e-5, a_band().frac, a_band().numbers)
    settings: dict[str, Any] = {"shell_tol": 0.3, "lattice_decimals": 2, "dtype": torch.float64}
    graphs = views(cell, ["band", "local"], line_graph=False, **settings)
    assert_same(graphs["band"], crystal_graph(cell, **settings))
    assert_same(graphs["local"], local_graph(cell, **settings))
    for graph in graphs.values():
        assert graph.edge_vec.dtype == torch.float64
        assert graph.cell[0].tolist() == np.round(cell.lattice, 2).tolist()
        assert "line_index" not in graph
    narrow = views(cell, ["band", "local"], line_graph=False)
    assert narrow["band"].num_bonds < graphs["band"].num_bonds
    assert narrow["local"].num_bonds < graphs["local"].num_bonds


def test_only_what_is_asked_for() -> None:
    assert list(views(a_band(), ["final"])) == ["final"]
    assert list(views(a_band(), iter(("band", "initial")))) == ["band", "initial"]
    assert views(a_band(), []) == {}


def test_unknown_view() -> None:
    with pytest.raises(
        ValueError,
        match="unknown view 'middle'; known are initial, final, band, local, path, crystal",
    ):
        views(a_band(), ["band", "middle"])


BAND_VIEWS = [name for name in VIEWS if name != "crystal"]


@pytest.mark.parametrize("view", BAND_VIEWS)
def test_images_of_different_elements(view: str) -> None:
    cell = a_band(images=(3, 3, 11, 3, 3))
    with pytest.raises(InputError) as error:
        views(cell, [view])
    assert str(error.value) == (
        "field elements: atoms 0 to 4 are the images of one ion, "
        "but have atomic numbers [3, 3, 11, 3, 3]"
    )
    assert views(cell, ["crystal"])["crystal"].num_nodes == 40


@pytest.mark.parametrize("view", BAND_VIEWS)
def test_too_few_atoms(view: str) -> None:
    cell = Cell(np.eye(3) * 6, np.random.default_rng(0).random((4, 3)), [3] * 4)
    with pytest.raises(InputError, match="a band starts with 5 images, but there are 4 atoms"):
        views(cell, [view])
    assert views(cell, ["crystal"])["crystal"].num_nodes == 4


def test_five_images_and_nothing_else_are_a_band() -> None:
    cell = a_band(atoms=5)
    check_images(cell)
    graphs = views(cell, VIEWS)
    assert graphs["initial"].num_nodes == graphs["final"].num_nodes == 1
    assert graphs["local"].num_nodes == 5


def test_bands_of_other_libraries() -> None:
    structure_of = pytest.importorskip("pymatgen.core").Structure
    cell = a_band()
    structure = structure_of(cell.lattice, cell.numbers.tolist(), cell.frac)
    for name, graph in views(structure, VIEWS).items():
        assert_same(graph, views(cell, [name])[name])


def two_ends() -> Ends[Cell]:
    """A hop whose final structure has a cell and a host of its own."""
    cell = a_band()
    initial, final = cell.without([1, 2, 3, 4]), cell.without([0, 1, 2, 3])
    shift = np.random.default_rng(1).normal(scale=0.01, size=final.frac.shape)
    return Ends(initial, Cell(1.02 * final.lattice, final.frac + shift, final.numbers))


@pytest.mark.parametrize("canonical", [False, True])
def test_ends_are_taken_as_they_are(canonical: bool) -> None:
    ends = two_ends()
    graphs = views(ends, ["final", "initial"], canonical=canonical)
    assert list(graphs) == ["final", "initial"]
    for name, cell in ends._asdict().items():
        assert_same(graphs[name], LineGraph()(crystal_graph(cell, canonical=canonical)))
    assert_same(graphs["initial"], views(a_band(), ["initial"], canonical=canonical)["initial"])
    assert graphs["initial"].num_bonds != graphs["final"].num_bonds


def test_settings_reach_the_graphs_of_ends() -> None:
    settings: dict[str, Any] = {"lattice_decimals": 1, "max_neighbors": 4, "dtype": torch.float64}
    ends = two_ends()
    graphs = views(ends, ["initial", "final"], shell_tol=0.3, line_graph=False, **settings)
    for name, cell in ends._asdict().items():
        assert_same(graphs[name], crystal_graph(cell, shell_tol=0.3, **settings))


def test_ends_of_other_libraries(tmp_path: Path) -> None:
    structure_of = pytest.importorskip("pymatgen.core").Structure
    ends = two_ends()
    before, after = (structure_of(c.lattice, c.numbers.tolist(), c.frac) for c in ends)
    after.to(str(tmp_path / "after.vasp"), fmt="poscar")
    graphs = views(Ends(before, tmp_path / "after.vasp"), ["initial", "final"])
    assert_same(graphs["initial"], views(ends, ["initial"])["initial"])
    assert graphs["final"].num_bonds == views(ends, ["final"])["final"].num_bonds


@pytest.mark.parametrize("view", ["band", "local", "crystal"])
def test_ends_are_no_path(view: str) -> None:
    with pytest.raises(InputError) as error:
        views(two_ends(), ["initial", view])
    assert str(error.value) == f"'{view}' needs the whole path; there are only its two ends"


def test_unknown_view_of_ends() -> None:
    with pytest.raises(ValueError, match="unknown view 'middle'") as error:
        views(two_ends(), ["middle"])
    assert not isinstance(error.value, InputError)


def end(*numbers: int) -> Cell:
    return Cell(6 * np.eye(3), np.random.default_rng(0).random((len(numbers), 3)), numbers)


BAD_ENDS: dict[str, tuple[Any, Any, str]] = {
    "an atom lost": (
        end(3, 8, 8),
        end(3, 8),
        "field final.elements: made of Li1 O1, but the initial structure of Li1 O2",
    ),
    "another host": (
        end(3, 8, 25),
        end(3, 8, 26),
        "field final.elements: made of Li1 O1 Fe1, but the initial structure of Li1 O1 Mn1",
    ),
    "another ion first": (
        end(3, 8),
        end(8, 3),
        "field final.elements: atom 0, the migrating ion, is O, but Li in the initial structure",
    ),
    "no structure": (end(3, 8), [3, 8], "field final: list is no structure: .*"),
    "no file": ("none.cif", end(3, 8), "none.cif, field initial: no such file"),
}


@pytest.mark.parametrize(("initial", "final", "message"), BAD_ENDS.values(), ids=BAD_ENDS.keys())
def test_ends_that_do_not_belong_together(initial: Any, final: Any, message: str) -> None:
    with pytest.raises(InputError) as error:
        views(Ends(initial, final), ["initial"])
    assert re.fullmatch(message, str(error.value))


def test_an_unusable_end_is_told_from_the_other() -> None:
    atoms = pytest.importorskip("ase").Atoms
    flat = atoms("LiO", positions=np.eye(3)[:2], cell=np.eye(3) * 5, pbc=[True, True, False])
    for name, ends in (("initial", Ends(flat, end(3, 8))), ("final", Ends(end(3, 8), flat))):
        with pytest.raises(InputError, match=f"field {name}.pbc: .* not periodic"):
            views(ends, ["initial"])


def test_the_host_of_ends_may_be_in_another_order() -> None:
    graphs = views(Ends(end(3, 8, 26, 8), end(3, 26, 8, 8)), ["initial", "final"])
    assert graphs["final"].z.tolist() == [3, 26, 8, 8]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("atoms", [6, 12, 40])
def test_local_graph(seed: int, atoms: int) -> None:
    """Of the shells of all atoms, those entries with an image at either end."""
    cell = a_band(seed, atoms)
    expected = crystals.shells(cell, LOCAL_NEIGHBORS, SHELL_TOL)
    assert expected.margin > 1e-9
    entries = {e for e in expected.entries if e[0] < IMAGES or e[1] < IMAGES}
    assert {e for e in entries if e[0] >= IMAGES} or atoms == 6, "no host atom lists an image"
    nodes = sorted({atom for entry in entries for atom in entry[:2]})
    graph = local_graph(cell, dtype=torch.float64)
    kept = Cell(cell.lattice, cell.frac[nodes], cell.numbers[nodes])
    assert graph.z.tolist() == kept.numbers.tolist()
    np.testing.assert_allclose(graph.pos.numpy(), kept.cart, atol=1e-12)
    ours = {
        (nodes[i], nodes[j], *n): copies
        for (i, j, *n), copies in goldens.bond_counts(graph, kept).items()
    }
    assert ours == crystals.literal_bonds(entries, canonical=False)
    assert graph.edge_ptr[-1] == graph.num_bonds
    assert int(graph.edge_index.unique().numel()) == graph.num_nodes == len(nodes)
    assert nodes[:IMAGES] == list(range(IMAGES))
    if atoms == 40:
        assert len(nodes) < atoms


def test_local_graph_leaves_its_input_alone() -> None:
    cell, same = a_band(), a_band()
    views(cell, VIEWS, lattice_decimals=1)
    for field in ("lattice", "frac", "numbers"):
        np.testing.assert_array_equal(getattr(cell, field), getattr(same, field))


@goldens.needs_goldens
@pytest.mark.parametrize("name", [n for n in goldens.records() if not n.startswith("syn")])
def test_end_points_of_recorded_bands(name: str) -> None:
    record = goldens.load(f"record_{name}")
    cell = goldens.record_cell(record)
    graphs = views(cell, ["initial", "final"], dtype=torch.float64)
    initial = crystal_graph(goldens.record_cell(record, "ini_"), dtype=torch.float64)
    torch.testing.assert_close(graphs["initial"].pos, initial.pos)
    assert graphs["initial"].z.equal(initial.z)
    if record["fin_equals_band_image4"]:
        final = crystal_graph(goldens.record_cell(record, "fin_"), dtype=torch.float64)
        assert graphs["final"].z.equal(final.z)
        assert graphs["final"].num_bonds == final.num_bonds
