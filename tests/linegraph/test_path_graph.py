"""What the images see of the host: by hand, by brute force, and in cells as no matter is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch
from torch_geometric.loader import DataLoader

from linegraph import Cell, CrystalGraph, InputError, views
from linegraph.path_graph import REACH, path_graph
from tests.bands import rock_salt_band
from tests.crystals import every_neighbor, random_cell
from tests.linegraph.test_band_features import quartz_like


def small_band(seed: int) -> Cell:
    """Five images and three atoms anywhere in a skewed cell that is smaller than the reach."""
    cell = random_cell(seed, atoms=8)
    return Cell(0.75 * cell.lattice, cell.frac, [3] * 5 + [8, 8, 15])


def bonds_of(graph: CrystalGraph) -> list[tuple[int, int]]:
    """Source and target of every bond."""
    return [(int(a), int(b)) for a, b in graph.edge_index.T]


def test_by_hand() -> None:
    path = [[x, 5, 5] for x in range(1, 6)]
    cell = Cell(10 * np.eye(3), np.array([*path, [3, 5, 7], [9, 5, 5]]) / 10, [3] * 5 + [8, 16])
    graph = path_graph(cell, reach=4.5, dtype=torch.float64)
    # Atom 5 is above image 2; atom 6 is 5 Å from image 3, and beyond the face of the cell.
    seen = [(5, 6), (5, 6), (5, 6), (5,), (5, 6)]
    assert bonds_of(graph) == [(atom, image) for image in range(5) for atom in seen[image]]
    expected = [
        [-2, 0, -2], [2, 0, 0], [-1, 0, -2], [3, 0, 0], [0, 0, -2], [4, 0, 0],
        [1, 0, -2], [2, 0, -2], [-4, 0, 0],
    ]  # fmt: skip
    torch.testing.assert_close(graph.edge_vec, torch.tensor(expected).double())
    assert graph.multiplicity.tolist() == [1] * 9
    assert graph.edge_end.tolist() == [2, 4, 6, 7, 9, 9, 9]
    assert graph.z.tolist() == [3] * 5 + [8, 16]
    torch.testing.assert_close(graph.pos, torch.tensor(cell.cart))


@pytest.mark.parametrize("seed", range(4))
def test_every_host_atom_and_no_image_in_small_cells(seed: int) -> None:
    cell = small_band(seed)
    assert np.linalg.norm(cell.lattice, axis=1).max() < REACH
    near = every_neighbor(cell, REACH)
    assert np.abs(near.distance - REACH).min() > 1e-6
    seen = near.where((near.center < 5) & (near.neighbor >= 5))
    expected = np.column_stack([seen.neighbor, seen.center])
    graph = path_graph(cell, dtype=torch.float64)
    found = graph.edge_index.T.numpy()
    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, expected.tolist()))
    length = graph.edge_vec.norm(dim=1).numpy()
    np.testing.assert_allclose(np.sort(length), np.sort(seen.distance))
    # Sorted by target, then by source; each atom of the host is there more than once.
    assert bonds_of(graph) == sorted(bonds_of(graph), key=lambda bond: bond[::-1])
    assert len(set(bonds_of(graph))) == 5 * 3 < graph.num_bonds
    assert graph.edge_end.tolist() == np.cumsum(np.bincount(found[:, 1], minlength=8)).tolist()


def test_vectors_lead_from_the_host_to_the_image() -> None:
    cell = small_band(5)
    graph = path_graph(cell, dtype=torch.float64)
    source, target = graph.edge_index
    shift = (graph.edge_vec - graph.pos[target] + graph.pos[source]).numpy()
    cells = shift @ np.linalg.inv(cell.lattice)
    np.testing.assert_allclose(cells, np.rint(cells), atol=1e-9)


def test_lattice_translations_change_nothing() -> None:
    cell = quartz_like()
    moves = np.random.default_rng(0).integers(-3, 4, size=cell.frac.shape)
    moved = path_graph(Cell(cell.lattice, cell.frac + moves, cell.numbers), dtype=torch.float64)
    graph = path_graph(cell, dtype=torch.float64)
    assert torch.equal(moved.edge_index, graph.edge_index)
    torch.testing.assert_close(moved.edge_vec, graph.edge_vec)


def test_what_an_image_sees_does_not_depend_on_the_others() -> None:
    cell = rock_salt_band(jitter=0)
    frac = cell.frac.copy()
    frac[1:4] += 0.05
    one, other = path_graph(cell), path_graph(Cell(cell.lattice, frac, cell.numbers))
    for image in (0, 4):
        vectors = [g.edge_vec[g.edge_index[1] == image] for g in (one, other)]
        assert torch.equal(*vectors)
    assert not torch.equal(one.edge_vec[:50], other.edge_vec[-50:])


def test_an_atom_right_on_the_path() -> None:
    cell = rock_salt_band()
    frac = np.concatenate([cell.frac, cell.frac[2:3]])
    graph = path_graph(Cell(cell.lattice, frac, [*cell.numbers, 8]))
    zero = graph.edge_vec.norm(dim=1) == 0
    assert graph.edge_index[:, zero].tolist() == [[len(cell)], [2]]


def test_without_a_host_there_are_no_bonds() -> None:
    graph = path_graph(Cell(4 * np.eye(3), np.eye(5, 3) / 3, [3] * 5))
    assert graph.num_nodes == 5
    assert (graph.edge_index.shape, graph.edge_vec.shape) == ((2, 0), (0, 3))


def test_lattice_decimals_and_precision() -> None:
    cell = quartz_like()
    cell = Cell(cell.lattice + 0.04, cell.frac, cell.numbers)
    rounded = path_graph(Cell(np.round(cell.lattice, 1), cell.frac, cell.numbers))
    found = path_graph(cell, lattice_decimals=1)
    assert torch.equal(found.edge_vec, rounded.edge_vec)
    assert found.edge_vec.dtype == torch.float32
    assert not torch.equal(found.cell, path_graph(cell).cell)


def test_batches_of_pyg() -> None:
    cells = [quartz_like(), rock_salt_band("Na", "S", 5.0)]
    graphs = [views(cell, ["path"])["path"] for cell in cells]
    batch = next(iter(DataLoader(graphs, batch_size=2)))
    assert isinstance(batch, Batch)
    assert batch.features.shape == (2, graphs[0].features.size(1))
    # Cations besides the ion there are none in the second one: their features are NaN.
    assert batch.features[1].isnan().any()
    assert torch.equal(batch.features[1].nan_to_num(-1), graphs[1].features[0].nan_to_num(-1))
    first, atoms = graphs[0].num_bonds, graphs[0].num_nodes
    assert torch.equal(batch.edge_index[:, first:], graphs[1].edge_index + atoms)
    # Ends go on, as those of other graphs do.
    assert batch.edge_end[-1] == batch.edge_index.size(1)
    for graph, back in zip(graphs, batch.to_data_list(), strict=True):
        assert torch.equal(back.edge_vec, graph.edge_vec)
        assert torch.equal(back.edge_end, graph.edge_end)


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        (Cell(np.diag([1e-3, 1e-3, 1e5]), np.eye(6, 3) / 3, [3] * 6), "too thin for a search"),
        (Cell(0.2 * np.eye(3), np.eye(30, 3) / 3, [3] * 30), "pairs of atoms"),
    ],
)
def test_cells_as_no_matter_is(cell: Cell, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        path_graph(cell)
