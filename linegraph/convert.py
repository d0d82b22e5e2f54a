"""State dicts of the reference implementation, and ours: the same tensors under other names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

# Ours on the left, the reference's on the right, for the pieces of a name.
_MLP = {"linear": "layer.0", "norm": "layer.1"}
_CONV = {
    "gate_source": "src_gate",
    "gate_target": "dst_gate",
    "gate_edge": "edge_gate",
    "norm_edges": "bn_edges",
    "root": "src_update",
    "message": "dst_update",
    "norm_nodes": "bn_nodes",
}
_LAYER = {"atom_conv": "node_update", "bond_conv": "edge_update"}
_SCALAR = {"basis": "0", "inner": "1", "outer": "2"}
_HEAD = {"lin1": "conv_to_fc.{}", "lin2": "fc_hp.{}.0", "output": "fc_out.{}"}
_READOUT = {"query": "linear_q", "key": "linear_k", "value": "linear_v", "norm": "norm"}
_STACK = {"trunk": "", "short": "_1"}


def reference_name(name: str) -> str:
    """The reference's name of one of our parameters or buffers.

    Raises:
        KeyError: the reference has no such tensor.
    """
    for pattern, replace in _RULES:
        if match := pattern.fullmatch(name):
            return replace(match)
    raise KeyError(f"the reference has no tensor {name}")


def _scalar(kind: str, match: re.Match[str]) -> str:
    inner = f".{_MLP[match['layer']]}" if match["layer"] else ""
    return f"{kind}_embedding.{_SCALAR[match['part']]}{inner}.{match['rest']}"


_RULES: list[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]] = [
    (
        re.compile(r"trunk\.atom_embedding\.mlp\.(?P<layer>linear|norm)\.(?P<rest>\w+)"),
        lambda m: f"atom_embedding.{_MLP[m['layer']]}.{m['rest']}",
    ),
    (
        re.compile(
            r"trunk\.bond_embedding\.(?P<part>\w+)(\.(?P<layer>linear|norm))?\.(?P<rest>\w+)"
        ),
        lambda m: _scalar("edge", m),
    ),
    (
        re.compile(
            r"trunk\.angle_embedding\.(?P<part>\w+)(\.(?P<layer>linear|norm))?\.(?P<rest>\w+)"
        ),
        lambda m: _scalar("angle", m),
    ),
    (
        re.compile(
            r"(?P<stack>trunk|short)\.alignn_layers\.(?P<i>\d+)\.(?P<conv>\w+)"
            r"\.(?P<part>\w+)\.(?P<rest>\w+)"
        ),
        lambda m: (
            f"alignn_layers{_STACK[m['stack']]}.{m['i']}"
            f".{_LAYER[m['conv']]}.{_CONV[m['part']]}.{m['rest']}"
        ),
    ),
    (
        re.compile(
            r"(?P<stack>trunk|short)\.conv_layers\.(?P<i>\d+)\.(?P<part>\w+)\.(?P<rest>\w+)"
        ),
        lambda m: f"gcn_layers{_STACK[m['stack']]}.{m['i']}.{_CONV[m['part']]}.{m['rest']}",
    ),
    (
        re.compile(r"heads?(\.(?P<i>\d+))?\.(?P<part>lin1|lin2|output)\.(?P<rest>\w+)"),
        lambda m: f"{_HEAD[m['part']].format(m['i'] or 0)}.{m['rest']}",
    ),
    (re.compile(r"merge\.linear\.(?P<rest>\w+)"), lambda m: f"fc.{m['rest']}"),
    (
        re.compile(r"(?P<local>local_)?readout\.(?P<part>\w+)\.(?P<rest>\w+)"),
        lambda m: f"attention{'1' if m['local'] else ''}.{_READOUT[m['part']]}.{m['rest']}",
    ),
]


def load_reference_state_dict(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load a state dict with the reference's parameter names into one of our models.

    Args:
        model: a model of :func:`linegraph.build_model`.
        state: tensors by the reference's names (``alignn_layers.0.node_update.src_gate.weight``).

    Raises:
        ValueError: names missing or unexpected, or shapes that differ; the message lists them
            all, and the model is left as it was.
    """
    own = model.state_dict()
    names = {reference_name(name): name for name in own}
    missing = sorted(set(names) - set(state))
    unexpected = sorted(set(state) - set(names))
    wrong = [
        f"{theirs} {tuple(state[theirs].shape)} instead of {tuple(own[ours].shape)}"
        for theirs, ours in names.items()
        if theirs in state and state[theirs].shape != own[ours].shape
    ]
    problems = [
        f"{what}: {', '.join(which)}"
        for what, which in (("missing", missing), ("unexpected", unexpected), ("shape", wrong))
        if which
    ]
    if problems:
        raise ValueError("not a state dict of this model; " + "; ".join(problems))
    with torch.no_grad():
        model.load_state_dict({ours: state[theirs] for theirs, ours in names.items()})


def reference_state_dict(model: nn.Module) -> dict[str, Tensor]:
    """The model's tensors under the reference's names; inverse of the loader."""
    return {reference_name(name): tensor for name, tensor in model.state_dict().items()}
