"""Layers and model of the peer package alignn, on our graphs and with our weights."""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from linegraph.features import element_features
from linegraph.kernels import Edges, edge_gate, use_backend
from linegraph.nn import EdgeGatedConv

from .compare import DifferenceError, Options
from .peers import ALIGNN as PACKAGES
from .peers import INSTALL
from .sides import relative_difference

#: Our layers of a convolution by the peer's names.
NAMES = {
    "gate_source": "src_gate",
    "gate_target": "dst_gate",
    "gate_edge": "edge_gate",
    "message": "dst_update",
    "root": "src_update",
    "norm_nodes": "bn_nodes",
    "norm_edges": "bn_edges",
}

#: Rounding in single precision.
TOLERANCE = 1e-4


def needs_layers(options: Options) -> str:
    """What to install for the peer package's layers in PyTorch; "" if they are here."""
    return _missing()


def load_layers() -> ModuleType:
    """The peer's module of layers, without what its settings and plots need.

    Raises:
        ImportError: it is not here.
    """
    for name, stand_in in (
        ("pydantic_settings", {"BaseSettings": _Settings}),
        ("matplotlib.pyplot", {}),
    ):
        try:
            import_module(name)
        except ImportError:
            module = ModuleType(name)
            module.__dict__.update(stand_in)
            sys.modules[name] = module
    return import_module("alignn.models.alignn_atomwise_pure")


class PeerConv(nn.Module):
    """The peer's convolution with the weights of ours, called as ours is.

    It has layer norms where ours has batch norms, and knows no weights of edges or rows.
    """

    def __init__(self, ours: EdgeGatedConv) -> None:
        super().__init__()
        self.conv = load_layers().EdgeGatedGraphConvPure(ours.channels, ours.channels)
        state = {
            f"{NAMES[part]}.{kind}": value
            for part, _, kind in (name.partition(".") for name in ours.state_dict())
            if kind in ("weight", "bias")
            for value in (ours.state_dict()[f"{part}.{kind}"],)
        }
        self.conv.load_state_dict(state)
        self.to(ours.root.weight.device)

    def forward(
        self, x: Tensor, edges: Edges, edge_attr: Tensor, **counts: Any
    ) -> tuple[Tensor, Tensor]:
        source, target = edges.index
        out: tuple[Tensor, Tensor] = self.conv.forward_tensors(
            source, target, x.size(0), x, edge_attr
        )
        return out


def check_conv(ours: EdgeGatedConv, x: Tensor, edges: Edges, edge_attr: Tensor) -> float:
    """How far the peer's convolution is from ours where both must agree.

    That is on a graph whose edges all weigh 1, with both normalisations taken out: linear maps,
    gates, sums at the nodes, SiLU and residuals.

    Raises:
        DifferenceError: by more than rounding.
    """
    peer = PeerConv(ours)
    peer.conv.bn_nodes = peer.conv.bn_edges = nn.Identity()
    equal = Edges(edges.index, edges.num_nodes)
    with torch.no_grad(), use_backend("reference"):
        h, m = edge_gate(
            edge_attr,
            ours.gate_edge.weight,
            ours.gate_edge.bias,
            ours.gate_source(x),
            ours.gate_target(x),
            ours.message(x),
            equal,
        )
        expected = x + F.silu(ours.root(x) + h), edge_attr + F.silu(m)
        found = relative_difference(expected, peer(x, equal, edge_attr))
    if not found <= TOLERANCE:
        raise DifferenceError(f"alignn differs from ours before normalisation by {found:.3g}")
    return found


def peer_model(hidden: int, alignn_layers: int = 4, conv_layers: int = 4) -> nn.Module:
    """The peer's model in PyTorch for one property, of the published sizes."""
    layers = load_layers()
    settings = layers.ALIGNNAtomWisePureConfig(
        name="alignn_atomwise_pure",
        alignn_layers=alignn_layers,
        gcn_layers=conv_layers,
        atom_input_features=element_features().size(1),
        hidden_features=hidden,
        embedding_features=min(64, hidden),
        calculate_gradient=False,
        energy_mult_natoms=False,
        use_penalty=False,
        use_zbl=False,
        gradwise_weight=0.0,
    )
    return _Barriers(layers.ALIGNNAtomWisePure(settings))


class _Barriers(nn.Module):
    """Takes our batches."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Any) -> Tensor:
        graph = import_module("alignn.torch_graph_builder").TorchGraph
        atoms = element_features().to(batch["z"].device)[batch["z"]]
        crystal = graph(
            int(batch.num_nodes),
            *batch["edge_index"],
            {"atom_features": atoms},
            {"r": batch["edge_vec"]},
            batch_num_nodes=torch.bincount(batch["batch"]),
        )
        line = graph(batch["edge_index"].size(1), *batch["line_index"])
        out: Tensor = self.model((crystal, line, None))["out"]
        return out.reshape(-1)


class _Settings(SimpleNamespace):
    """Settings with the defaults that the class gives them."""


@cache
def _missing() -> str:
    try:
        load_layers()
    except Exception as error:  # whatever of its dependencies is not here
        return f"{str(error).splitlines()[0]}; {INSTALL} {' '.join(PACKAGES)}"
    return ""
