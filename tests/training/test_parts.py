from __future__ import annotations

import pytest
from torch import nn

import linegraph
from training.parts import PARTS, in_part, modules_in

#: Parts that share nothing and leave nothing out.
APART = ("embeddings", "alignn_layers", "conv_layers", "head")

NAMES = {
    "trunk.atom_embedding.mlp.linear.weight": {"trunk", "embeddings", "atom_embedding"},
    "trunk.bond_embedding.outer.norm.bias": {"trunk", "embeddings", "bond_embedding"},
    "trunk.angle_embedding.basis.centers": {"trunk", "embeddings", "angle_embedding"},
    "trunk.alignn_layers.12.atom_conv.root.weight": {"trunk", "alignn_layers", "two_body"},
    "trunk.alignn_layers.0.bond_conv.norm_edges.weight": {"trunk", "alignn_layers", "three_body"},
    "trunk.conv_layers.3.gate_edge.bias": {"trunk", "conv_layers", "two_body"},
    "head.lin1.weight": {"head"},
    "heads.6.output.bias": {"head"},
    "merge.linear.weight": {"head"},
    "local_readout.norm.weight": {"head"},
    # MODEL-2's own layers are new, whatever they are called.
    "short.conv_layers.0.root.weight": {"head"},
    "short.alignn_layers.0.bond_conv.root.weight": {"head"},
}


@pytest.mark.parametrize("name", NAMES)
def test_parts_of_a_name(name: str) -> None:
    assert {part for part in PARTS if in_part(name, part)} == NAMES[name]


def test_every_part_is_looked_at() -> None:
    assert set().union(*NAMES.values()) == set(PARTS)


def test_a_model_without_a_trunk_is_all_head() -> None:
    model = linegraph.build_model("BAND-1", hidden=4, head=4)
    for name in model.state_dict():
        assert [part for part in PARTS if in_part(name, part)] == ["head"]


@pytest.mark.parametrize("model_name", [name for name in linegraph.models() if name != "BAND-1"])
def test_every_tensor_is_in_one_part(model_name: str) -> None:
    model = linegraph.build_model(
        model_name, hidden=4, alignn_layers=2, conv_layers=2, embedding=4, head=4
    )
    for name in model.state_dict():
        assert sum(in_part(name, part) for part in APART) == 1, name
        layers = any(in_part(name, part) for part in ("alignn_layers", "conv_layers"))
        bodies = [part for part in ("two_body", "three_body") if in_part(name, part)]
        assert len(bodies) == layers, name
        inputs = [f"{kind}_embedding" for kind in ("atom", "bond", "angle")]
        assert sum(in_part(name, part) for part in inputs) == in_part(name, "embeddings")
    for part in PARTS:
        assert any(in_part(name, part) for name, _ in model.named_parameters()), part


@pytest.mark.parametrize("model_name", ["MPT", "MODEL-2", "MODEL-4", "SCRATCH-CC"])
@pytest.mark.parametrize("part", PARTS)
def test_modules_of_a_part_hold_its_tensors(part: str, model_name: str) -> None:
    model = linegraph.build_model(
        model_name, hidden=4, alignn_layers=1, conv_layers=1, embedding=4, head=4
    )
    modules = list(modules_in(model, (part,)))
    assert len(modules) == len({id(module) for module in modules})
    held = {id(p) for module in modules for p in module.parameters()}
    expected = {id(p) for name, p in model.named_parameters() if in_part(name, part)}
    assert held == expected
    assert all(next(module.children(), None) is None for module in modules)
    # Dropout of the attention, without any tensor, belongs to what it drops from.
    dropped = any(isinstance(module, nn.Dropout) for module in modules)
    assert dropped == (model_name == "MODEL-4" and part == "head")


def test_modules_of_several_parts() -> None:
    model = linegraph.build_model("MODEL-3", hidden=4, alignn_layers=1, conv_layers=1)
    everything = [m for m in model.modules() if next(m.children(), None) is None]
    # Also where parts overlap, each once, and in the model's order.
    assert list(modules_in(model, (*APART, "two_body", "atom_embedding"))) == everything
    assert list(modules_in(model, ())) == []
