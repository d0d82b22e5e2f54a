"""The literal list of bonds, of batches and with fields of one's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

import linegraph
from linegraph import CrystalGraph, LineGraph, crystal_graph, expand

from .. import crystals
from ..bands import rock_salt_band


def a_graph(seed: int, line_graph: bool = True) -> CrystalGraph:
    """With a field for the crystal, atoms, bonds, a name, and lists of and not of bonds."""
    graph = crystal_graph(crystals.random_cell(seed, atoms=3), dtype=torch.float64)
    assert graph.num_bonds > 3
    graph.y = torch.tensor([float(seed)])
    graph.charge = torch.arange(3.0)
    graph.bond_number = torch.arange(graph.num_bonds)
    graph.edge_pairs = torch.arange(2 * graph.num_bonds).reshape(2, -1).t()
    graph.name = f"crystal {seed}"
    graph.labels = [str(bond) for bond in range(graph.num_bonds)]
    graph.numbers = np.arange(graph.num_bonds)
    return LineGraph()(graph) if line_graph else graph


@pytest.mark.parametrize("line_graph", [True, False])
def test_fields_are_kept_and_those_of_bonds_repeated(line_graph: bool) -> None:
    graph = a_graph(2, line_graph)
    before = graph.clone()
    literal = expand(graph)
    which = torch.repeat_interleave(graph.multiplicity)
    assert len(which) > graph.num_bonds
    for key in ("y", "charge", "z", "pos", "cell"):
        assert literal[key].equal(graph[key]), key
    assert literal.name == graph.name
    assert literal.bond_number.equal(which)
    assert literal.edge_pairs.equal(graph.edge_pairs[which])
    assert literal.labels == [str(bond) for bond in which.tolist()]
    assert literal.numbers.tolist() == which.tolist()
    assert set(literal.to_dict()) == set(graph.to_dict())
    for key, value in before.to_dict().items():
        now = graph[key]
        assert now.equal(value) if isinstance(value, torch.Tensor) else np.all(now == value)


@pytest.mark.parametrize("line_graph", [True, False])
def test_a_batch_stays_a_batch(line_graph: bool) -> None:
    graphs = [a_graph(seed, line_graph) for seed in range(3)]
    batch = Batch.from_data_list(graphs, follow_batch=["edge_vec"])
    batch.temperature = torch.tensor([300.0, 400.0, 500.0])
    batch.bond_weight = torch.arange(float(batch.num_bonds))
    found = expand(batch)
    wanted = Batch.from_data_list([expand(graph) for graph in graphs], follow_batch=["edge_vec"])
    assert isinstance(found, Batch)
    assert found.num_graphs == 3
    assert_same(found, wanted, {"temperature", "bond_weight"})
    assert found.temperature.equal(batch.temperature)
    assert found.bond_weight.equal(batch.bond_weight.repeat_interleave(batch.multiplicity))
    for member, graph in zip(found.to_data_list(), graphs, strict=True):
        assert_same(member, expand(graph), set())


def assert_same(found: Any, wanted: Any, more: set[str]) -> None:
    assert set(found.to_dict()) == set(wanted.to_dict()) | more
    for key, value in wanted.to_dict().items():
        if isinstance(value, torch.Tensor):
            assert found[key].equal(value), key
        else:
            assert str(found[key]) == str(value), key


def test_a_model_says_of_each_what_it_says_of_it_alone() -> None:
    torch.manual_seed(0)
    sizes = {"hidden": 8, "alignn_layers": 2, "conv_layers": 1, "embedding": 8, "head": 8}
    model = linegraph.build_model("MODEL-3", **sizes).double().eval()
    bands = [rock_salt_band(), rock_salt_band("Na", "S", 5.1)]
    graphs = [linegraph.views(band, ["band"], dtype=torch.float64)["band"] for band in bands]
    batch = Batch.from_data_list(graphs)
    out = model(batch)
    assert out.shape == (2,)
    torch.testing.assert_close(model(expand(batch)), out, rtol=1e-12, atol=1e-12)


def test_as_many_bonds_as_atoms_and_one_bond() -> None:
    two = CrystalGraph(
        z=torch.tensor([3, 8]),
        pos=torch.zeros(2, 3),
        cell=torch.eye(3)[None],
        edge_index=torch.tensor([[0, 1], [0, 1]]),
        edge_vec=torch.eye(3)[:2],
        multiplicity=torch.tensor([2, 1]),
        edge_end=torch.tensor([1, 2]),
    )
    literal = expand(two)
    assert literal.edge_index.tolist() == [[0, 0, 1], [0, 0, 1]]
    assert literal.edge_vec.equal(torch.eye(3)[[0, 0, 1]])
    assert literal.edge_end.tolist() == [2, 3]
    assert literal.z.tolist() == [3, 8]
    one = CrystalGraph(
        z=torch.tensor([3]),
        pos=torch.zeros(1, 3),
        cell=torch.eye(3)[None],
        edge_index=torch.tensor([[0], [0]]),
        edge_vec=torch.eye(3)[:1],
        multiplicity=torch.tensor([2]),
        edge_end=torch.tensor([1]),
    )
    literal = expand(one)
    assert literal.cell.shape == (1, 3, 3)
    assert literal.z.tolist() == [3]
    assert literal.num_bonds == 2
