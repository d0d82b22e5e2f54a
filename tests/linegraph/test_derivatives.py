"""Second derivatives of whole models, as forces are learned by, on batches of two."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradgradcheck
from torch_geometric.data import Batch

import linegraph
from linegraph import Cell
from linegraph.kernels import Segments
from linegraph.models import BandModel, Model
from linegraph.nn.pool import mean_over_atoms
from tests.crystals import random_cell

TWICE = ("reference", "torch_scatter")
HERE = [row.name for row in linegraph.backends() if row.available and row.name in TWICE]


def band(seed: int) -> Cell:
    """Five images and two atoms of a host."""
    frac = [[x, 0.02 * seed, 0] for x in np.linspace(0, 0.4, 5)] + [
        [0.1, 0.5, 0.4],
        [0.5, 0.3, 0.5],
    ]
    return Cell(5 * np.eye(3), frac, [3] * 5 + [8, 16 + seed])


def crystal(cell: Cell) -> Any:
    return linegraph.crystal_graph(cell, max_neighbors=3, dtype=torch.float64)


CRYSTALS = [crystal(random_cell(1, atoms=3)), crystal(random_cell(2, atoms=2))]
BOTH = Batch.from_data_list(CRYSTALS)


def model_3() -> Model:
    torch.manual_seed(0)
    sizes = {"hidden": 4, "head": 4, "embedding": 4, "alignn_layers": 1, "conv_layers": 1}
    model = linegraph.build_model("MODEL-3", **sizes).double()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm1d):
            part.momentum = 1.0
    with torch.no_grad():
        # New models whisper: a wrong derivative would be lost in what a check lets pass.
        model.train()(BOTH)
        model.get_parameter("head.output.weight").mul_(30)
    return model.eval()


def band_1() -> BandModel:
    torch.manual_seed(0)
    sizes = {"hidden": 4, "head": 4, "networks": 1, "trees": 2, "leaves": 2, "supports": 2}
    model = linegraph.build_model("BAND-1", **sizes).double().eval()
    assert isinstance(model, BandModel)
    with torch.no_grad():
        model.get_parameter("networks.0.conv.source.weight").mul_(30)
        model.get_parameter("networks.0.head.output.weight").mul_(30)
    return model


def energy(model: Model, graph: Any, pos: Tensor) -> Tensor:
    """What a model of one graph says of atoms that are elsewhere."""
    graph = copy.copy(graph)
    (i, j), old = graph.edge_index, graph.pos
    graph.edge_vec = graph.edge_vec + (pos - old)[j] - (pos - old)[i]
    out: Tensor = model(linegraph.LineGraph()(graph))
    return out


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", HERE)
def test_model_3(name: str, training: bool) -> None:
    model = model_3().train(training)
    with linegraph.use_backend(name):
        pos = BOTH.pos.clone().requires_grad_()
        assert gradgradcheck(lambda p: energy(model, BOTH, p), (pos,), fast_mode=True)
        slope = torch.autograd.grad(energy(model, BOTH, pos).sum(), pos, create_graph=True)[0]
        curve = torch.autograd.grad(slope.square().sum(), pos)[0]
    assert min(slope.abs().max(), curve.abs().max()) > 1e-2


def force_loss(model: Model, graph: Any) -> dict[str, Tensor]:
    """Gradients of parameters of a loss on forces."""
    model.zero_grad()
    pos = graph.pos.clone().requires_grad_()
    out = energy(model, graph, pos).sum()
    torch.autograd.grad(out, pos, create_graph=True)[0].square().sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", HERE)
def test_forces_of_a_batch_teach_what_those_of_its_crystals_do(name: str) -> None:
    model = model_3()
    with linegraph.use_backend(name):
        alone = [force_loss(model, graph) for graph in CRYSTALS]
        together = force_loss(model, BOTH)
    assert len(together) > 20
    assert max(gradient.abs().max() for gradient in together.values()) > 1e-2
    for key, gradient in together.items():
        torch.testing.assert_close(gradient, alone[0][key] + alone[1][key], msg=key)


def test_band_1() -> None:
    """Of its networks, on any back end."""
    model = band_1()
    views = [linegraph.views(band(seed), model.views, dtype=torch.float64) for seed in (0, 1)]
    path = Batch.from_data_list([view["path"] for view in views])

    def barrier(vectors: Tensor) -> Tensor:
        graph = copy.copy(path)
        graph.edge_vec = vectors
        out: Tensor = model(graph)
        return out

    vectors = path.edge_vec.clone().requires_grad_()
    assert gradgradcheck(barrier, (vectors,), fast_mode=True)
    slope = torch.autograd.grad(barrier(vectors).sum(), vectors, create_graph=True)[0]
    curve = torch.autograd.grad(slope.square().sum(), vectors)[0]
    assert min(slope.abs().max(), curve.abs().max()) > 1e-3


def test_trees_and_machines_have_no_derivatives() -> None:
    model = band_1()
    path = linegraph.views(band(0), model.views, dtype=torch.float64)["path"]
    path.features.requires_grad_()
    path.edge_vec.requires_grad_()
    found = torch.autograd.grad(
        model(path).sum(), (path.features, path.edge_vec), allow_unused=True
    )
    assert found[0] is None
    assert found[1] is not None


@pytest.mark.parametrize("ordered", [True, False])
def test_sums_over_segments(ordered: bool) -> None:
    group = torch.tensor([0, 0, 2, 2, 2, 4] if ordered else [2, 0, 4, 2, 0, 2])
    segments = Segments.of(group, 6)
    rows = torch.rand(6, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(segments.sum, (rows,))
    assert gradgradcheck(lambda r: segments.sum(r**3).square(), (rows,))


def test_functional_derivatives_of_means() -> None:
    x = torch.rand(BOTH.num_nodes, 3, dtype=torch.float64)

    def squares(x: Tensor) -> Tensor:
        return mean_over_atoms(x, BOTH).square().sum()

    sizes = torch.tensor([3.0, 2.0], dtype=torch.float64)[:, None]
    wanted = (2 * mean_over_atoms(x, BOTH) / sizes)[BOTH.batch]
    torch.testing.assert_close(torch.func.grad(squares)(x), wanted)
    curve = torch.func.jacrev(torch.func.grad(squares))(x)
    assert curve[0, 0, 1, 0] == pytest.approx(2 / 9)
    assert curve[0, 0, 3, 0] == 0
