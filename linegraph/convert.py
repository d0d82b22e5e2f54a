"""State dicts of the reference implementation, and ours: the same tensors under other names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from .nn import LinearHead

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


def reference_name(name: str, linear_head: bool = False) -> str:
    """The reference's name of one of our parameters or buffers.

    Args:
        name: our name.
        linear_head: whether the model ends in a :class:`linegraph.nn.LinearHead` (ALIGNN and the
            SCRATCH models), whose ``output`` is ``fc`` there; that of other heads is ``fc_out``.

    Raises:
        KeyError: the reference has no such tensor.
    """
    if linear_head and (match := _LINEAR.fullmatch(name)):
        return f"fc.{match['rest']}"
    for pattern, replace in _RULES:
        if match := pattern.fullmatch(name):
            return replace(match)
    raise KeyError(f"the reference has no tensor {name}")


def _scalar(kind: str, match: re.Match[str]) -> str:
    inner = f".{_MLP[match['layer']]}" if match["layer"] else ""
    return f"{kind}_embedding.{_SCALAR[match['part']]}{inner}.{match['rest']}"


_LINEAR = re.compile(r"head\.output\.(?P<rest>\w+)")

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


def reference_names(model: nn.Module) -> dict[str, str]:
    """The reference's name of every tensor of a model, by our name.

    Raises:
        KeyError: the reference has no such model.
    """
    linear = isinstance(getattr(model, "head", None), LinearHead)
    try:
        return {name: reference_name(name, linear) for name in model.state_dict()}
    except KeyError as error:
        raise KeyError(f"the reference has no {type(model).__name__}: {error.args[0]}") from None


def reference_differences(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """What keeps a state dict with the reference's names from being one of a model.

    Returns:
        Names that are ``"missing"`` or ``"unexpected"``, and tensors of another ``"shape"``
        (name and both shapes); only those of the three that hold something.
    """
    own = reference_state_dict(model)
    found = {
        "missing": sorted(set(own) - set(state)),
        "unexpected": sorted(set(state) - set(own)),
        "shape": [
            f"{name} {tuple(state[name].shape)} instead of {tuple(tensor.shape)}"
            for name, tensor in own.items()
            if name in state and state[name].shape != tensor.shape
        ],
    }
    return {what: which for what, which in found.items() if which}


def load_reference_state_dict(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load a state dict with the reference's parameter names into one of our models.

    Args:
        model: a model of :func:`linegraph.build_model`.
        state: tensors by the reference's names (``alignn_layers.0.node_update.src_gate.weight``).

    Raises:
        ValueError: names missing or unexpected, or shapes that differ; the message lists them
            all, and the model is left as it was.
        KeyError: the reference has no such model.
    """
    if differences := reference_differences(model, state):
        listed = "; ".join(f"{what}: {', '.join(which)}" for what, which in differences.items())
        raise ValueError(f"not a state dict of this model; {listed}")
    names = reference_names(model)
    with torch.no_grad():
        model.load_state_dict({ours: state[theirs] for ours, theirs in names.items()})


def reference_state_dict(model: nn.Module) -> dict[str, Tensor]:
    """The model's tensors under the reference's names; inverse of the loader.

    Raises:
        KeyError: the reference has no such model.
    """
    names = reference_names(model)
    return {names[name]: tensor for name, tensor in model.state_dict().items()}
