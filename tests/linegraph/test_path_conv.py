"""What images hear: the same however a crystal is turned or written down."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch_geometric.data import Batch

from linegraph import Cell, CrystalGraph
from linegraph.nn import PathConv
from linegraph.nn.path_conv import first_atoms, images_of
from linegraph.path_graph import REACH, path_graph
from tests.bands import rock_salt_band
from tests.crystals import rotation, supercell
from tests.linegraph.test_band_features import quartz_like

ATOMS, HIDDEN = 6, 8


def layer(hidden: int = HIDDEN) -> PathConv:
    torch.manual_seed(0)
    return PathConv(ATOMS, hidden).double()


def graph_of(cell: Cell, reach: float = REACH) -> CrystalGraph:
    return path_graph(cell, reach=reach, dtype=torch.float64)


def said_of(cell: Cell) -> Tensor:
    """Something about every atom of a band."""
    return torch.from_numpy(np.random.default_rng(1).normal(size=(len(cell), ATOMS)))


def heard(cell: Cell, x: Tensor | None = None) -> Tensor:
    out: Tensor = layer()(said_of(cell) if x is None else x, graph_of(cell))
    assert out.shape == (1, 5, 2 * HIDDEN)
    return out


def surroundings(*places: ArrayLike) -> Tensor:
    """What is heard in a wide cell of oxygen at these places (Å) from images on one spot."""
    frac = np.array([[0.0, 0, 0]] * 5 + [np.asarray(place) / 30 for place in places])
    cell = Cell(30 * np.eye(3), frac, [3] * 5 + [8] * len(places))
    x = torch.ones(len(cell), ATOMS, dtype=torch.float64)
    return heard(cell, x)[0, 0].detach()


@pytest.mark.parametrize("handed", [1, -1])
def test_rotation_and_reflection(handed: int) -> None:
    cell = quartz_like()
    turned = Cell(handed * cell.lattice @ rotation(0), cell.frac, cell.numbers)
    torch.testing.assert_close(heard(turned), heard(cell))


def test_order_of_the_host() -> None:
    cell = quartz_like(1)
    order = np.r_[:5, 5 + np.random.default_rng(0).permutation(len(cell) - 5)]
    mixed = Cell(cell.lattice, cell.frac[order], cell.numbers[order])
    x = said_of(cell)
    torch.testing.assert_close(heard(mixed, x[order]), heard(cell, x))
    assert not torch.allclose(heard(mixed, x), heard(cell, x))


def test_a_larger_cell_of_the_same_host() -> None:
    cell = quartz_like(2)
    host = supercell(cell.without([0, 1, 2, 3, 4]), (2, 1, 2))
    frac = np.concatenate([cell.frac[:5] / [2, 1, 2], host.frac])
    large = Cell(host.lattice, frac, [3] * 5 + host.numbers.tolist())
    x = said_of(cell)
    torch.testing.assert_close(heard(large, torch.cat([x[:5], x[5:].repeat(4, 1)])), heard(cell, x))


def test_the_ion_decides_what_gets_through() -> None:
    """It is one at all images, of which the first is asked; elements are what ``x`` says."""
    cell = quartz_like(3)
    x = said_of(cell)
    other = x.clone()
    other[1:5] += 1
    assert torch.equal(heard(cell, x), heard(cell, other))
    other[0] += 1
    assert (heard(cell, other) - heard(cell, x)).abs().max() > 1e-3
    sodium = Cell(cell.lattice, cell.frac, [11] * 5 + cell.numbers[5:].tolist())
    assert torch.equal(heard(sodium), heard(cell))


def test_a_batch_says_what_its_bands_say() -> None:
    cells = [quartz_like(), rock_salt_band("Na", "S", 5.0), quartz_like(4)]
    xs = [said_of(cell) for cell in cells]
    together = layer()(torch.cat(xs), Batch.from_data_list([graph_of(cell) for cell in cells]))
    alone = torch.cat([heard(cell, x) for cell, x in zip(cells, xs, strict=True)])
    torch.testing.assert_close(together, alone)


def moments(*places: ArrayLike) -> list[Tensor]:
    """Sums, lengths of vectors and lengths of tensors of :func:`surroundings`."""
    found = surroundings(*places)
    return [found[:HIDDEN], found[HIDDEN : -HIDDEN // 2], found[-HIDDEN // 2 :]]


def test_the_three_moments() -> None:
    """Each tells apart what the simpler ones cannot."""
    a = 2.0
    near, far = moments([a, 0, 0]), moments([a + 1, 0, 0])
    assert (near[0] - far[0]).abs().max() > 1e-3
    # Two atoms on opposite sides, and on one.
    line = moments([a, 0, 0], [-a, 0, 0])
    corner = moments([a, 0, 0], [0, a, 0])
    torch.testing.assert_close(line[0], corner[0])
    assert (line[1] - corner[1]).abs().max() > 1e-3
    # Four in a plane and on the corners of a tetrahedron: open on no side.
    square = moments([a, 0, 0], [-a, 0, 0], [0, a, 0], [0, -a, 0])
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    tetrahedron = moments(*(a * corners / 3**0.5))
    for moment in (0, 1):
        torch.testing.assert_close(square[moment], tetrahedron[moment])
    assert (square[2] - tetrahedron[2]).abs().max() > 1e-3


def test_second_moment_by_hand() -> None:
    """Its length is that of the whole tensor, although only five of nine parts are summed."""
    places = np.random.default_rng(3).normal(size=(4, 3))
    places *= 2.5 / np.linalg.norm(places, axis=1)[:, None]  # at one distance: one message each
    found = surroundings(*places)[-HIDDEN // 2 :]
    one = surroundings(places[0])[-HIDDEN // 2 :]
    tensors = [np.outer(p, p) / 6.25 - np.eye(3) / 3 for p in places]
    ratio = float(np.linalg.norm(np.sum(tensors, axis=0)) / np.linalg.norm(tensors[0]))
    torch.testing.assert_close(found, one * ratio, rtol=1e-3, atol=2e-3)


def test_nothing_is_heard_from_beyond_the_reach() -> None:
    cell = quartz_like(5)
    x = said_of(cell)
    torch.testing.assert_close(layer()(x, graph_of(cell, REACH + 1)), heard(cell, x))
    silent = surroundings([REACH - 1e-6, 0, 0]) - surroundings([REACH + 1, 0, 0])
    assert silent.abs().max() < 1e-6


@pytest.mark.parametrize("length", [0.0, 1e-9, REACH, REACH + 1])
def test_gradients_are_finite(length: float) -> None:
    cell = Cell(30 * np.eye(3), [[0, 0, 0]] * 5 + [[length / 30, 0, 0]], [3] * 5 + [8])
    graph = graph_of(cell, REACH + 2)
    assert graph.num_bonds == 5
    conv, x = layer(), said_of(cell).requires_grad_()
    graph.edge_vec.requires_grad_()
    conv(x, graph).square().sum().backward()
    for gradient in (x.grad, graph.edge_vec.grad, *(p.grad for p in conv.parameters())):
        assert gradient is not None
        assert gradient.isfinite().all()


def test_gradients() -> None:
    cell = rock_salt_band(jitter=1)
    cell = Cell(cell.lattice, cell.frac[:7], cell.numbers[:7])
    graph = graph_of(cell, 3.0)
    conv, x = layer(hidden=2), said_of(cell).requires_grad_()

    def run(x: Tensor, vectors: Tensor) -> Any:
        return conv(x, {**graph.to_dict(), "edge_vec": vectors})

    vectors = graph.edge_vec.clone().requires_grad_()
    assert torch.autograd.gradcheck(run, (x, vectors))


@pytest.mark.parametrize("hidden", [1, 5])
def test_odd_widths(hidden: int) -> None:
    cell = quartz_like()
    assert layer(hidden)(said_of(cell), graph_of(cell)).shape == (1, 5, 2 * hidden)


def test_mixed_precision() -> None:
    cell = quartz_like()
    conv, x, graph = layer().float(), said_of(cell).float(), path_graph(cell)
    whole = conv(x, graph)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = conv(x, graph)
    mixed.sum().backward()
    assert whole.dtype == torch.float32
    torch.testing.assert_close(mixed.float(), whole, rtol=0.05, atol=0.05)


def rows(graph: Any) -> NDArray[np.int64]:
    found: NDArray[np.int64] = images_of(graph).numpy()
    return found


def test_rows_of_images() -> None:
    graphs = [graph_of(quartz_like()), graph_of(rock_salt_band())]
    batch = Batch.from_data_list(graphs)
    assert rows(graphs[0]).tolist() == [[0, 1, 2, 3, 4]]
    start = graphs[0].num_nodes
    assert rows(batch).tolist() == [[0, 1, 2, 3, 4], list(range(start, start + 5))]
    assert first_atoms(batch).tolist() == [0, start]


def test_without_atoms_there_are_no_images() -> None:
    empty = CrystalGraph(
        z=torch.zeros(0, dtype=torch.int64),
        pos=torch.zeros(0, 3),
        edge_index=torch.zeros(2, 0, dtype=torch.int64),
        edge_vec=torch.zeros(0, 3, dtype=torch.float64),
        cell=torch.zeros(1, 3, 3),
    )
    x = torch.zeros(0, ATOMS, dtype=torch.float64, requires_grad=True)
    for graph in (empty, Batch.from_data_list([empty])):
        out = layer()(x, graph)
        assert out.shape == (0, 5, 2 * HIDDEN)
        out.sum().backward()
