"""Models whose weights are of half precision, from a file, too."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

import linegraph
from linegraph.ensemble_file import load_ensemble
from linegraph.models import Model
from linegraph.nn.pool import mean_over_atoms
from linegraph.weights import load_weights, save_weights
from tests.bands import rock_salt_band, sizes_of
from tests.linegraph.test_band_features import quartz_like

CONFIG = {"hidden": 16, "alignn_layers": 2, "conv_layers": 1, "embedding": 8, "head": 8}
CELLS = [quartz_like(seed) for seed in range(3)] + [rock_salt_band("Na", "S", 5.0, jitter=1)]
HALF = [torch.bfloat16, torch.float16]


def batches(model: Model, cells: list[linegraph.Cell] = CELLS) -> dict[str, Any]:
    graphs = [linegraph.views(cell, model.views, max_neighbors=4) for cell in cells]
    return {view: Batch.from_data_list([g[view] for g in graphs]) for view in model.views}


def of_half(name: str, dtype: torch.dtype) -> Model:
    """A model that tells bands apart."""
    torch.manual_seed(0)
    model = linegraph.build_model(name, **sizes_of(name, CONFIG))
    norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm1d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(batches(model))
        for key, weight in model.named_parameters():
            if key.endswith(("conv.source.weight", "head.output.weight")) and name == "BAND-1":
                weight.mul_(30)  # new layers whisper
    return model.to(dtype).eval()


def assert_about(found: Tensor, wanted: Tensor, dtype: torch.dtype) -> None:
    """Within some roundings of how far bands are apart, and one of the number itself."""
    eps = torch.finfo(dtype).eps
    allowed = 16 * eps * wanted.std(dim=0).max() + eps * wanted.abs().max()
    assert (found.float() - wanted).abs().max() < allowed


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("name", linegraph.models())
def test_predictions(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    """Of one band and of a batch: those of the same weights in float32, within the precision."""
    model = of_half(name, dtype)
    save_weights(tmp_path / "w.safetensors", model, name, sizes_of(name, CONFIG), {})
    read = load_weights(tmp_path / "w.safetensors").model
    assert {p.dtype for p in read.parameters()} == {dtype}
    with torch.no_grad():
        wanted = copy.deepcopy(model).float()(batches(model))
        found = model(batches(model))
        alone = torch.cat([model(batches(model, [cell])) for cell in CELLS])
        assert torch.equal(read(batches(read)), found)
    # The trees and the machine of BAND-1 calculate in float32.
    assert found.dtype == (torch.float32 if name == "BAND-1" else dtype)
    assert_about(found, wanted, dtype)
    assert_about(alone, wanted, dtype)


@pytest.mark.parametrize("dtype", HALF)
def test_a_file_predicts(dtype: torch.dtype, tmp_path: Path) -> None:
    model = of_half("MODEL-3", dtype)
    save_weights(tmp_path / "w.safetensors", model, "MODEL-3", CONFIG, {"max_neighbors": 4})
    found = load_ensemble(tmp_path / "w.safetensors").predict(CELLS)
    with torch.no_grad():
        wanted = copy.deepcopy(model).float()(batches(model))
    assert_about(torch.tensor([barrier.value for barrier in found]), wanted, dtype)


@pytest.mark.parametrize("dtype", HALF)
def test_means_are_summed_in_single_precision(dtype: torch.dtype) -> None:
    """5000 times one and a half: sums of half precision would end where numbers are far apart."""
    x = torch.full((5000, 1), 1.5, dtype=dtype)
    graph = type("Owners", (), {"batch": torch.zeros(5000, dtype=torch.int64), "num_graphs": 1})()
    for of in (graph, None):
        mean = mean_over_atoms(x, of)
        assert mean.dtype == dtype
        assert mean.item() == 1.5
        with torch.autocast("cpu", dtype=dtype):
            assert mean_over_atoms(x, of).dtype == torch.float32
