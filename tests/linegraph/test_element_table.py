"""The facts beside the weights are there, wherever and however a model was made."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import linegraph
from linegraph.features import element_features
from linegraph.models import Model
from linegraph.nn import AtomEmbedding
from tests.bands import rock_salt_band, sizes_of

SIZES = {"hidden": 8, "alignn_layers": 1, "conv_layers": 1, "embedding": 6, "head": 4}


def model_of(name: str) -> Model:
    torch.manual_seed(0)
    return linegraph.build_model(name, **sizes_of(name, SIZES)).eval()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("assign", [False, True])
@pytest.mark.parametrize("name", ["MODEL-3", "BAND-1"])
def test_made_without_memory(name: str, assign: bool, dtype: torch.dtype) -> None:
    usual = model_of(name).to(dtype)
    with torch.device("meta"):
        model = model_of(name)
    if not assign:
        model.to_empty(device="cpu").to(dtype)
        with torch.no_grad():
            for tensor in (*model.parameters(), *model.buffers()):
                tensor.fill_(float("nan") if tensor.is_floating_point() else 1)
    model.load_state_dict(usual.state_dict(), assign=assign)
    graphs = linegraph.views(rock_salt_band(), usual.views, dtype=dtype)
    assert torch.equal(model.eval()(graphs), usual(graphs))
    for key, buffer in usual.named_buffers():
        assert torch.equal(model.get_buffer(key), buffer), key


def test_loading_keeps_the_place_of_the_table() -> None:
    embedding = AtomEmbedding(4)
    table = embedding.table
    table.fill_(7)
    embedding.load_state_dict(AtomEmbedding(4).state_dict())
    assert embedding.table is table
    assert table.equal(element_features())


def test_of_a_part_alone() -> None:
    model = model_of("MODEL-3")
    embedding = model.get_submodule("trunk.atom_embedding")
    embedding.get_buffer("table").fill_(7)
    model.get_submodule("trunk").load_state_dict(model.get_submodule("trunk").state_dict())
    assert embedding.get_buffer("table").equal(element_features())


def test_on_the_current_device() -> None:
    with torch.device("meta"):
        assert element_features().is_meta
    assert element_features().sum() > 800


@pytest.mark.parametrize("mode", [FakeTensorMode(), torch.device("meta")], ids=["fake", "meta"])
def test_the_first_model_leaves_no_trace(mode: Any) -> None:
    linegraph.features._table.cache_clear()
    with mode:
        model_of("MODEL-3")
    table = model_of("MODEL-3").get_buffer("trunk.atom_embedding.table")
    assert type(table) is torch.Tensor
    assert table.device.type == "cpu"
    assert table.sum() > 800


@pytest.mark.parametrize("z", [0, -1, 104])
def test_there_are_no_other_elements(z: int) -> None:
    for name in ("MODEL-3", "BAND-1"):
        model = model_of(name)
        (graph,) = linegraph.views(rock_salt_band(), model.views).values()
        graph.z[-1] = z
        with pytest.raises(ValueError, match=r"atomic numbers must lie in 1\.\.103"):
            model(graph)
