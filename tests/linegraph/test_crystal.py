"""Crystal graphs against the literal edge list of the reference."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import linegraph
from linegraph import InputError, LineGraph, crystal_graph, expand
from linegraph.crystal import SHELL_TOL, _unique_rows
from linegraph.structure import Cell

from .. import crystals, goldens


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(crystals.any_cells(), st.sampled_from([1, 4, 12]), st.booleans())
def test_bonds_and_their_copies(cell: Cell, k: int, canonical: bool) -> None:
    expected = crystals.shells(cell, k, SHELL_TOL)
    assume(expected.margin > 1e-9)
    graph = crystal_graph(cell, max_neighbors=k, canonical=canonical, dtype=torch.float64)
    wanted = crystals.literal_bonds(expected.entries, canonical)
    assert goldens.bond_counts(graph, cell) == wanted
    assert graph.num_bonds == len(wanted)
    assert set(graph.multiplicity.tolist()) <= {1, 2}


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(crystals.any_cells(), st.booleans())
def test_fields(cell: Cell, canonical: bool) -> None:
    graph = crystal_graph(cell, canonical=canonical, dtype=torch.float64)
    source, target = graph.edge_index
    assert graph.z.tolist() == cell.numbers.tolist()
    np.testing.assert_array_equal(graph.cell.numpy(), cell.lattice[None])
    np.testing.assert_allclose(graph.pos.numpy(), cell.frac @ cell.lattice, atol=1e-12)
    # A bond ends on an image of its target.
    shift = (graph.edge_vec - graph.pos[target] + graph.pos[source]).numpy()
    image = shift @ np.linalg.inv(cell.lattice)
    np.testing.assert_allclose(image, np.rint(image), atol=1e-8)
    rows = np.column_stack([target.numpy(), source.numpy(), -np.rint(image).astype(int)]).tolist()
    assert rows == sorted(rows)
    assert (torch.diff(graph.edge_ptr) == torch.bincount(target, minlength=len(cell))).all()
    # Every bond has its reverse, with as many copies.
    counts = goldens.bond_counts(graph, cell)
    assert all(counts[(j, i, *(-x for x in n))] == c for (i, j, *n), c in counts.items())
    graph.validate()


def test_mutual_and_one_sided_bonds() -> None:
    """Three atoms in a row: the outer ones list the middle one, which lists only the nearer."""
    cell = Cell(np.diag([40.0, 90.0, 90.0]), [[0, 0, 0], [0.05, 0, 0], [0.125, 0, 0]], [1, 2, 3])
    dup = crystal_graph(cell, max_neighbors=1)
    assert dup.edge_index.tolist() == [[1, 0, 2, 1], [0, 1, 1, 2]]
    assert dup.multiplicity.tolist() == [2, 2, 1, 1]
    assert dup.edge_vec[:, 0].tolist() == [-2, 2, -3, 3]
    can = crystal_graph(cell, max_neighbors=1, canonical=True)
    assert can.multiplicity.tolist() == [1, 1, 1, 1]
    assert can.edge_index.tolist() == dup.edge_index.tolist()


@pytest.mark.parametrize("canonical", [False, True])
def test_bonds_of_an_atom_to_its_own_images_count_twice(canonical: bool) -> None:
    graph = crystal_graph(crystals.fcc(), canonical=canonical)
    assert graph.num_bonds == 12
    assert graph.multiplicity.tolist() == [2] * 12
    assert graph.edge_index.unique().tolist() == [0]


def test_first_radius_changes_nothing() -> None:
    cell = crystals.random_cell(7)
    graphs = [crystal_graph(cell, cutoff=cutoff) for cutoff in (0.5, 8.0, 30.0)]
    for graph in graphs[1:]:
        assert all(graph[key].equal(graphs[0][key]) for key in graphs[0].keys())  # noqa: SIM118


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"cutoff": 0.0}, "cutoff must be positive, got 0.0"),
        ({"cutoff": float("nan")}, "cutoff must be positive, got nan"),
        ({"max_neighbors": 0}, "max_neighbors must be at least 1, got 0"),
        ({"max_neighbors": 12.5}, "max_neighbors must be a whole number, got 12.5"),
        ({"dtype": torch.int64}, "dtype must be a floating-point type of torch, got torch.int64"),
        ({"dtype": "float64"}, "dtype must be a floating-point type of torch, got 'float64'"),
        ({"shell_tol": -1e-9}, "shell_tol must not be negative, got -1e-09"),
        ({"shell_tol": float("nan")}, "shell_tol must not be negative, got nan"),
    ],
)
def test_settings_out_of_range(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        crystal_graph(crystals.fcc(), **setting)
    assert not isinstance(error.value, InputError)


def test_lattice_is_rounded_on_demand() -> None:
    cell = Cell(np.diag([4.0000049, 4.1000051, 4.2]), [[0, 0, 0], [0.5, 0.5, 0.5]], [3, 8])
    graph = crystal_graph(cell, lattice_decimals=5, dtype=torch.float64)
    assert graph.cell[0].diag().tolist() == [4.0, 4.10001, 4.2]
    assert graph.edge_vec[:, 0].abs().unique().tolist() == pytest.approx([0.0, 2.0, 4.0], abs=1e-15)
    as_given = crystal_graph(cell, dtype=torch.float64)
    assert as_given.cell[0].diag().tolist() == [4.0000049, 4.1000051, 4.2]


def test_dtype() -> None:
    single, double = (crystal_graph(crystals.fcc(), dtype=d) for d in (None, torch.float64))
    for key in ("pos", "cell", "edge_vec"):
        assert single[key].dtype == torch.float32
        assert double[key].dtype == torch.float64
    for key in ("z", "edge_index", "multiplicity", "edge_end"):
        assert single[key].dtype == torch.int64
    # Vectors are differences taken in double precision, wherever the atoms lie.
    far = Cell(crystals.fcc().lattice, [[1000.0, 0, 0]], [13])
    lengths = crystal_graph(far).edge_vec.norm(dim=1)
    torch.testing.assert_close(lengths, torch.full((12,), 4.05 / 2**0.5), rtol=1e-6, atol=0)


def test_structures_of_every_kind_give_the_same_graph(tmp_path: Path) -> None:
    pytest.importorskip("pymatgen")
    atoms = pytest.importorskip("ase").Atoms
    from pymatgen.core import Structure

    cell = Cell(np.diag([4.0, 4.25, 4.5]), [[0, 0, 0], [0.5, 0.5, 0.25]], [3, 8])
    structure = Structure(cell.lattice, ["Li", "O"], cell.frac)
    path = tmp_path / "a.cif"
    structure.to(str(path))
    expected = crystal_graph(cell)
    for given_ in (
        structure,
        atoms(["Li", "O"], scaled_positions=cell.frac, cell=cell.lattice, pbc=True),
        path,
        str(path),
    ):
        graph = crystal_graph(given_)
        assert graph.edge_index.equal(expected.edge_index)
        assert graph.multiplicity.equal(expected.multiplicity)
        torch.testing.assert_close(graph.edge_vec, expected.edge_vec, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_structure_is_left_alone(dtype: torch.dtype) -> None:
    cell = crystals.random_cell(1)
    graph = crystal_graph(cell, dtype=dtype)
    graph.z += 1
    graph.cell += 1
    graph.pos += 1
    again = crystals.random_cell(1)
    for field in ("numbers", "lattice", "frac"):
        np.testing.assert_array_equal(getattr(cell, field), getattr(again, field))


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(crystals.any_cells(), st.booleans())
def test_expanding_repeats_every_bond(cell: Cell, canonical: bool) -> None:
    graph = crystal_graph(cell, canonical=canonical)
    literal = expand(graph)
    assert isinstance(literal, linegraph.CrystalGraph)
    assert literal.num_bonds == int(graph.multiplicity.sum())
    assert set(literal.multiplicity.tolist()) == {1}
    assert "line_index" not in literal

    def rows(g: linegraph.CrystalGraph) -> list[tuple[float, ...]]:
        both = torch.cat([g.edge_index.t().double(), g.edge_vec.double()], dim=1)
        return list(map(tuple, both.tolist()))

    wanted = Counter(dict(zip(rows(graph), graph.multiplicity.tolist(), strict=True)))
    assert Counter(rows(literal)) == wanted
    assert (torch.diff(literal.edge_index[1]) >= 0).all()
    target = literal.edge_index[1]
    assert torch.diff(literal.edge_ptr).equal(torch.bincount(target, minlength=len(cell)))
    for key in ("z", "pos", "cell"):
        assert literal[key].equal(graph[key])


def test_expanding_with_line_graph() -> None:
    graph = LineGraph()(crystal_graph(crystals.fcc()))
    literal = expand(graph)
    assert literal.num_triplets == 24 * 23
    assert graph.num_triplets == 12 * 12
    assert expand(literal).num_triplets == 24 * 23


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(*[st.integers(-3, 3) | st.sampled_from([-(2**31), 2**31, 10**9])] * 5),
        max_size=20,
    )
)
def test_unique_rows(rows: list[tuple[int, ...]]) -> None:
    unique, copies = _unique_rows(np.array(rows, dtype=np.int64).reshape(-1, 5))
    counts = Counter(rows)
    assert list(map(tuple, unique.tolist())) == sorted(counts)
    assert copies.tolist() == [counts[row] for row in sorted(counts)]
