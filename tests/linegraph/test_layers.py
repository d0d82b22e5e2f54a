"""Every layer against its equation, and the trunk on all that it says it takes."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.data import Batch, Data

from linegraph import CrystalGraph, LineGraph, crystal_graph
from linegraph.features import element_features
from linegraph.nn import (
    ALIGNN,
    ALIGNNConv,
    AtomEmbedding,
    EdgeGatedConv,
    MLPLayer,
    PropertyHead,
    RBFExpansion,
    ScalarEmbedding,
)
from linegraph.transforms import line_weights

from .. import crystals


def shaken(module: Any, seed: int = 0) -> Any:
    """The module with no parameter or running estimate at its neutral value, in float64."""
    g = torch.Generator().manual_seed(seed)
    module = module.double()
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.BatchNorm1d):
                for tensor in (part.weight, part.bias, part.running_mean):
                    assert tensor is not None
                    tensor.add_(0.3 * torch.randn(tensor.shape, generator=g, dtype=torch.float64))
                assert part.running_var is not None
                part.running_var.mul_(
                    1 + torch.rand(part.running_var.shape, generator=g, dtype=torch.float64)
                )
    return module


def norm(x: Tensor, layer: nn.BatchNorm1d, copies: Tensor | None = None) -> Tensor:
    """SiLU(BN(x)) by plain torch; in training over all copies of every row."""
    assert layer.running_mean is not None
    assert layer.running_var is not None
    mean, var = layer.running_mean, layer.running_var
    if layer.training:
        rows = x if copies is None else x.repeat_interleave(copies, dim=0)
        mean, var = rows.mean(dim=0), rows.var(dim=0, unbiased=False)
    return F.silu((x - mean) / (var + layer.eps).sqrt() * layer.weight + layer.bias)


def literal_conv(
    conv: EdgeGatedConv,
    x: Tensor,
    edge_index: Tensor,
    y: Tensor,
    edge_weight: Tensor | None = None,
    node_count: Tensor | None = None,
    edge_count: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The equations, edge by edge."""
    top, below = torch.zeros_like(x), torch.full_like(x, 1e-6)
    m = []
    for e, (s, t) in enumerate(edge_index.t().tolist()):
        m.append(conv.gate_source(x[s]) + conv.gate_target(x[t]) + conv.gate_edge(y[e]))
        gate = torch.sigmoid(m[-1]) * (1 if edge_weight is None else edge_weight[e])
        top = top.index_add(0, torch.tensor([t]), (gate * conv.message(x[s]))[None])
        below = below.index_add(0, torch.tensor([t]), gate[None])
    rows = torch.stack(m) if m else y
    nodes = x + norm(conv.root(x) + top / below, conv.norm_nodes, node_count)
    return nodes, y + norm(rows, conv.norm_edges, edge_count)


def a_multigraph(
    nodes: int = 6, edges: int = 20, channels: int = 4
) -> tuple[Tensor, Tensor, Tensor]:
    """With loops and parallel edges; node 0 has no edges."""
    g = torch.Generator().manual_seed(3)
    x = torch.randn(nodes, channels, generator=g, dtype=torch.float64)
    y = torch.randn(edges, channels, generator=g, dtype=torch.float64)
    return x, torch.randint(1, nodes, (2, edges), generator=g), y


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("counted", [True, False])
def test_edge_gated_conv(training: bool, counted: bool) -> None:
    conv = shaken(EdgeGatedConv(4)).train(training)
    x, edge_index, y = a_multigraph()
    counts = {}
    if counted:
        g = torch.Generator().manual_seed(5)
        counts = {
            "edge_weight": torch.randint(1, 3, (20,), generator=g),
            "node_count": torch.randint(1, 3, (6,), generator=g),
            "edge_count": torch.randint(1, 5, (20,), generator=g),
        }
    x.requires_grad_()
    y.requires_grad_()
    wanted = literal_conv(copy.deepcopy(conv), x, edge_index, y, **counts)
    theirs = torch.autograd.grad(sum(out.square().sum() for out in wanted), [x, y])  # type: ignore[arg-type]
    found = conv(x, edge_index, y, **counts)
    ours = torch.autograd.grad(sum(out.square().sum() for out in found), [x, y])
    for mine, its in zip([*found, *ours], [*wanted, *theirs], strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-9, atol=1e-9)


def test_edge_gated_conv_of_isolated_nodes() -> None:
    """Nothing arrives: x + SiLU(BN(S x))."""
    conv = shaken(EdgeGatedConv(4)).eval()
    x, edge_index, y = a_multigraph()
    nodes, _ = conv(x, edge_index, y)
    alone = x + norm(conv.root(x), conv.norm_nodes)
    torch.testing.assert_close(nodes[0], alone[0])
    assert not torch.isclose(nodes[1:], alone[1:]).all(dim=1).any()
    nodes, edges = conv(x, edge_index[:, :0], y[:0])
    torch.testing.assert_close(nodes, alone)
    assert edges.shape == (0, 4)


def test_edge_gated_conv_without_edge_update() -> None:
    conv = shaken(EdgeGatedConv(4)).train()
    before = {k: v.clone() for k, v in conv.state_dict().items() if k.startswith("norm_edges")}
    x, edge_index, y = a_multigraph()
    both, _ = copy.deepcopy(conv)(x, edge_index, y)
    nodes, edges = conv(x, edge_index, y, update_edges=False)
    assert edges is None
    assert nodes.equal(both)
    assert all(conv.state_dict()[k].equal(v) for k, v in before.items())


def test_direction_of_an_edge_matters() -> None:
    conv = shaken(EdgeGatedConv(4)).eval()
    x, _, y = a_multigraph(nodes=2, edges=1)
    nodes, _ = conv(x, torch.tensor([[0], [1]]), y)
    alone = x + norm(conv.root(x), conv.norm_nodes)
    torch.testing.assert_close(nodes[0], alone[0])
    assert not torch.allclose(nodes[1], alone[1])


def test_wrong_sizes() -> None:
    conv = EdgeGatedConv(4).double()
    x, edge_index, y = a_multigraph()
    with pytest.raises(ValueError, match="expected 4 channels, got nodes with 3 and edges with 4"):
        conv(x[:, :3], edge_index, y)
    with pytest.raises(ValueError, match="expected 4 channels, got nodes with 4 and edges with 3"):
        conv(x, edge_index, y[:, :3])
    with pytest.raises(ValueError, match="20 edges but 19 edge features"):
        conv(x, edge_index, y[:-1])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("multiplicity", [True, False])
def test_alignn_conv_is_two_convolutions(training: bool, multiplicity: bool) -> None:
    layer = shaken(ALIGNNConv(4)).train(training)
    graph = LineGraph()(crystal_graph(crystals.random_cell(2, atoms=3), max_neighbors=3))
    g = torch.Generator().manual_seed(0)
    x, y, z = (
        torch.randn(n, 4, generator=g, dtype=torch.float64)
        for n in (graph.num_nodes, graph.num_bonds, graph.num_triplets)
    )
    copies = graph.multiplicity if multiplicity else None
    weight, count = line_weights(copies, graph.line_index) if copies is not None else (None, None)
    same = copy.deepcopy(layer)
    nodes, m = literal_conv(same.atom_conv, x, graph.edge_index, y, copies, None, copies)
    bonds, angles = literal_conv(same.bond_conv, m, graph.line_index, z, weight, copies, count)
    found = layer(x, graph.edge_index, y, graph.line_index, z, multiplicity=copies)
    for ours, theirs in zip(found, (nodes, bonds, angles), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    fewer = layer(
        x, graph.edge_index, y, graph.line_index, z, multiplicity=copies, update_angles=False
    )
    assert fewer[2] is None
    torch.testing.assert_close(fewer[1], bonds, rtol=1e-9, atol=1e-9)


def test_radial_basis() -> None:
    basis = RBFExpansion(0.0, 8.0, 80).double()
    assert basis.gamma == pytest.approx(9.875)
    assert RBFExpansion(-1.0, 1.0, 40).gamma == pytest.approx(19.5)
    out = basis(torch.tensor([[0.0, 8.0, 1.3]], dtype=torch.float64))
    assert out.shape == (1, 3, 80)
    assert out[0, 0, 0] == 1
    assert out[0, 1, -1] == 1
    assert out[0, 2, 7].item() == pytest.approx(math.exp(-9.875 * (1.3 - 7 * 8 / 79) ** 2))
    for low, high, bins in [(0, 1, 1), (1, 1, 5), (1, 0, 5)]:
        with pytest.raises(ValueError, match="need high > low and at least 2 bins"):
            RBFExpansion(low, high, bins)


def test_embeddings() -> None:
    atoms = shaken(AtomEmbedding(6)).eval()
    z = torch.tensor([1, 8, 103, 100])
    out = atoms(z)
    linear = atoms.mlp.linear(element_features().double()[z])
    torch.testing.assert_close(out, norm(linear, atoms.mlp.norm))
    torch.testing.assert_close(out[2], out[3])
    for wrong in ([0], [104], [8, -1]):
        with pytest.raises(ValueError, match=r"atomic numbers must lie in 1\.\.103"):
            atoms(torch.tensor(wrong))
    assert atoms(torch.empty(0, dtype=torch.int64)).shape == (0, 6)

    scalar = shaken(ScalarEmbedding(0.0, 8.0, 20, 5, 6)).train()
    value, copies = torch.rand(9, dtype=torch.float64) * 8, torch.arange(9) % 3 + 1
    literal = copy.deepcopy(scalar)(value.repeat_interleave(copies))
    torch.testing.assert_close(scalar(value, copies), literal[copies.cumsum(0) - 1])

    mlp = shaken(MLPLayer(3, 2)).eval()
    x = torch.randn(4, 3, dtype=torch.float64)
    torch.testing.assert_close(mlp(x), norm(mlp.linear(x), mlp.norm))


def test_head() -> None:
    head = PropertyHead(6, 4)
    h = torch.randn(3, 6)
    out = head.output(F.silu(head.lin2(F.silu(head.lin1(F.silu(h))))))
    torch.testing.assert_close(head(h), out[:, 0])
    assert head(h).shape == (3,)


def small(**settings: Any) -> Any:
    torch.manual_seed(0)
    sizes = {"hidden": 8, "alignn_layers": 2, "conv_layers": 2, "embedding": 5} | settings
    return shaken(ALIGNN(**sizes))


def test_trunk_takes_any_data() -> None:
    model = small().eval()
    graph = LineGraph()(crystal_graph(crystals.random_cell(0), dtype=torch.float64))
    wanted = model(graph)
    assert wanted.shape == (1, 8)
    torch.testing.assert_close(model.atoms(graph).mean(dim=0, keepdim=True), wanted)
    data = Data(
        z=graph.z,
        edge_index=graph.edge_index,
        edge_vec=graph.edge_vec,
        multiplicity=graph.multiplicity,
    )
    assert model(data).equal(wanted)
    assert "line_index" not in data
    del data.multiplicity
    # Without multiplicity every bond counts once: another function on this graph.
    once = graph.clone()
    once.multiplicity = torch.ones_like(graph.multiplicity)
    del once.line_index
    torch.testing.assert_close(model(data), model(once))
    assert not torch.allclose(model(data), wanted)
    batch = Batch.from_data_list([graph, graph])
    torch.testing.assert_close(model(batch), wanted.expand(2, -1))


def test_trunk_of_single_precision_takes_double_graphs() -> None:
    graph = crystal_graph(crystals.random_cell(0), dtype=torch.float64)
    out = small().float().eval()(graph)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out.double(), small().eval()(graph), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_trunk_on_one_atom(training: bool) -> None:
    model = small().train(training)
    out = model(crystal_graph(crystals.fcc(), dtype=torch.float64))
    out.sum().backward()
    assert out.shape == (1, 8)
    assert torch.isfinite(out).all()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("atoms", [1, 3])
def test_trunk_without_bonds(atoms: int, training: bool) -> None:
    model = small().train(training)
    graph = CrystalGraph(
        z=torch.arange(1, atoms + 1),
        pos=torch.zeros(atoms, 3),
        edge_index=torch.empty(2, 0, dtype=torch.int64),
        edge_vec=torch.empty(0, 3),
        multiplicity=torch.empty(0, dtype=torch.int64),
    )
    before = {k: v.clone() for k, v in model.state_dict().items() if "running" in k}
    out = model(graph)
    out.sum().backward()
    assert out.shape == (1, 8)
    assert torch.isfinite(out).all()
    x = model.atoms(graph)
    if not training:
        # Only the own terms of every convolution are left.
        own = model.atom_embedding(graph.z)
        for conv in [*(layer.atom_conv for layer in model.alignn_layers), *model.conv_layers]:
            own = own + norm(conv.root(own), conv.norm_nodes)
        torch.testing.assert_close(x, own)
    after = model.state_dict()
    for name, tensor in before.items():
        if "bond_embedding" in name or "angle_embedding" in name or "norm_edges" in name:
            assert after[name].equal(tensor), name


@pytest.mark.parametrize(("alignn_layers", "conv_layers"), [(0, 0), (0, 2), (2, 0), (1, 1)])
def test_trunk_of_any_depth(alignn_layers: int, conv_layers: int) -> None:
    model = small(alignn_layers=alignn_layers, conv_layers=conv_layers)
    graph = LineGraph()(crystal_graph(crystals.random_cell(0), dtype=torch.float64))
    model(graph).square().sum().backward()
    # What reaches the atoms has a gradient. The last angle and bond updates do not reach them,
    # and after the last ALIGNN layer nothing looks at bonds if no convolution follows.
    without = {name for name, p in model.named_parameters() if p.grad is None}
    allowed = ["norm_edges"]
    if conv_layers == 0:
        allowed += ["bond_conv", "angle_embedding", "bond_embedding"]
    if alignn_layers == 0:
        allowed += ["angle_embedding"]
    assert all(any(a in name for a in allowed) for name in without), without
    if alignn_layers:
        assert model.alignn_layers[0].atom_conv.gate_edge.weight.grad is not None


def test_state_holds_weights_only() -> None:
    model = small()
    names = list(model.state_dict())
    assert not [name for name in names if "table" in name]
    assert sorted(n for n in names if "centers" in n) == [
        "angle_embedding.basis.centers",
        "bond_embedding.basis.centers",
    ]
    table = element_features()
    assert all(t.shape != table.shape for t in model.state_dict().values())


def test_state_goes_from_one_model_to_another() -> None:
    graph = crystal_graph(crystals.random_cell(1), dtype=torch.float64)
    model = small().eval()
    torch.manual_seed(99)
    other = ALIGNN(hidden=8, alignn_layers=2, conv_layers=2, embedding=5).double().eval()
    assert not torch.allclose(other(graph), model(graph))
    other.load_state_dict(model.state_dict())
    assert other(graph).equal(model(graph))


def test_deep_copies_are_independent() -> None:
    graph = crystal_graph(crystals.random_cell(1), dtype=torch.float64)
    model = small().eval()
    wanted = model(graph).detach().clone()
    other = copy.deepcopy(model)
    assert other(graph).equal(wanted)
    with torch.no_grad():
        for p in other.parameters():
            p.add_(1)
        other.atom_embedding.table.zero_()
    assert model(graph).equal(wanted)


def test_double_and_back() -> None:
    graph = crystal_graph(crystals.random_cell(1))
    model = ALIGNN(hidden=8, alignn_layers=1, conv_layers=1, embedding=5).eval()
    single = model(graph)
    assert single.dtype == torch.float32
    double = model.double()(graph)
    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-5)
    assert model.float()(graph).dtype == torch.float32


def test_default_dtype_of_new_models() -> None:
    torch.set_default_dtype(torch.float64)
    try:
        model = ALIGNN(hidden=8, alignn_layers=1, conv_layers=1, embedding=5)
        graph = crystal_graph(crystals.random_cell(1))
    finally:
        torch.set_default_dtype(torch.float32)
    assert graph.edge_vec.dtype == torch.float64
    assert model.eval()(graph).dtype == torch.float64


def test_published_size() -> None:
    """4.03 million parameters in the published trunk, as in the recorded names and shapes."""
    model = ALIGNN()
    assert model.hidden == 256
    assert (len(model.alignn_layers), len(model.conv_layers)) == (4, 4)
    conv = 5 * (256 * 256 + 256) + 4 * 256
    embeddings = sum(
        a * b + 3 * b for a, b in [(92, 256), (80, 64), (64, 256), (40, 64), (64, 256)]
    )
    assert sum(p.numel() for p in model.parameters()) == 12 * conv + embeddings
