"""Graphs at the edge of what there is: one atom, atoms without bonds, bonds without triplets."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch

import linegraph
from linegraph import CrystalGraph
from linegraph.models import Model

#: Atoms and directed bonds ``(source, target)`` of a graph.
GRAPHS: dict[str, tuple[int, list[tuple[int, int]]]] = {
    "one atom": (1, []),
    "one atom bonded to itself": (1, [(0, 0)]),
    "atoms without bonds": (3, []),
    "one bond, which no other follows": (3, [(0, 1)]),
    "an isolated atom beside a pair": (3, [(1, 0), (0, 1)]),
}


def graph_of(atoms: int, bonds: list[tuple[int, int]]) -> CrystalGraph:
    generator = torch.Generator().manual_seed(atoms + len(bonds))
    bonds = sorted(bonds, key=lambda bond: bond[1])
    index = torch.tensor(bonds, dtype=torch.int64).reshape(-1, 2).T
    graph = CrystalGraph()
    graph.z = torch.arange(3, 3 + atoms)
    graph.pos = torch.zeros(atoms, 3)
    graph.cell = 4.0 * torch.eye(3)[None]
    graph.edge_index = index
    graph.edge_vec = torch.rand(len(bonds), 3, generator=generator) + 1.0
    graph.multiplicity = torch.ones(len(bonds), dtype=torch.int64)
    graph.edge_end = torch.tensor([sum(b[1] <= atom for b in bonds) for atom in range(atoms)])
    made: CrystalGraph = linegraph.LineGraph()(graph)
    return made


def a_model() -> Model:
    torch.manual_seed(0)
    sizes = {"hidden": 8, "alignn_layers": 2, "conv_layers": 1, "embedding": 8}
    return linegraph.build_model("MPT", **sizes, head=8, properties=2)


@pytest.mark.parametrize("name", GRAPHS)
def test_alone_it_trains_and_predicts(name: str) -> None:
    graph = graph_of(*GRAPHS[name])
    model = a_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    for _ in range(3):
        optimizer.zero_grad()
        out = model(Batch.from_data_list([graph]))
        out.square().sum().backward()
        optimizer.step()
    after = model.state_dict()
    assert all(value.isfinite().all() for value in after.values())
    changed = {key for key in after if not after[key].equal(before[key])}
    assert any("head" in key for key in changed)
    said = model.eval()(Batch.from_data_list([graph]))
    assert said.shape == (1, 2)
    assert said.isfinite().all()


def test_in_a_batch_each_is_what_it_is_alone() -> None:
    graphs = [graph_of(*content) for content in GRAPHS.values()]
    model = a_model().double().eval()
    together = model(Batch.from_data_list(graphs)).detach()
    for position, graph in enumerate(graphs):
        alone = model(Batch.from_data_list([graph]))[0].detach()
        torch.testing.assert_close(together[position], alone, rtol=1e-12, atol=1e-12)
    assert len({round(float(value), 9) for value in together[:, 0]}) == len(graphs)
