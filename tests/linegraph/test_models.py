"""The registry of models."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch_geometric.data import Batch, Data

import linegraph
from linegraph.nn.pool import mean_over_atoms
from training.read import read_bands

from ..bands import rock_salt_band, sizes_of
from ..goldens import SHARED, needs_data

SMALL = {"hidden": 8, "alignn_layers": 1, "conv_layers": 1, "embedding": 8, "head": 8}


@pytest.mark.parametrize("name", linegraph.models())
def test_every_model_says_what_it_looks_at_and_predicts_from_it(name: str) -> None:
    model = linegraph.build_model(name, **sizes_of(name, SMALL)).eval()
    bands = [rock_salt_band(), rock_salt_band("Na", "S", 5.1)]
    graphs = [linegraph.views(band, model.views) for band in bands]
    assert list(graphs[0]) == list(model.views)
    batch = {view: Batch.from_data_list([g[view] for g in graphs]) for view in model.views}
    out = model(batch)
    assert out.shape == ((2, 7) if name == "MPT" else (2,))
    assert torch.isfinite(out).all()
    alone = torch.cat([model(g) for g in graphs])
    torch.testing.assert_close(out, alone)


def test_unknown_model_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown model 'MODEL-5'; known are ALIGNN, MPT"):
        linegraph.build_model("MODEL-5")


def test_unknown_setting_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"MODEL-3 has no setting heads; known are .*hidden"):
        linegraph.build_model("MODEL-3", heads=4)


def test_missing_view_is_named() -> None:
    model = linegraph.build_model("MODEL-4", **SMALL)
    with pytest.raises(ValueError, match="looks at 'local', the batch has band"):
        model(linegraph.views(rock_salt_band(), ["band"]))


def test_mask_of_properties_multiplies() -> None:
    model = linegraph.build_model("MPT", properties=3, **SMALL).eval()
    graphs = linegraph.views(rock_salt_band(), ["crystal"])
    mask = torch.tensor([[0.0, 1.0, 0.0]])
    assert torch.equal(model(graphs, mask=mask), model(graphs) * mask)


@pytest.mark.parametrize("heads", [1, 4])
def test_attention_does_not_depend_on_how_structures_are_scored_together(
    heads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    readout = linegraph.nn.AttentionReadout(8, heads=heads).double().eval()
    sizes = [3, 1, 40, 7, 6]
    x = torch.randn(sum(sizes), 8, dtype=torch.float64, requires_grad=True)
    owner = torch.repeat_interleave(torch.arange(5), torch.tensor(sizes))
    batch = type("Owners", (), {"batch": owner, "num_graphs": 5})()
    together = readout(x, batch)
    one_by_one = []
    for rows in x.split(sizes):
        q, k, v = (torch.relu(f(rows)) for f in (readout.query, readout.key, readout.value))
        parts = []
        for h in range(heads):
            of_head = slice(h * 8 // heads, (h + 1) * 8 // heads)
            scores = torch.tanh(k[:, of_head] @ q[:, of_head].T)
            parts.append(scores.sum(1).softmax(0) @ v[:, of_head])
        one_by_one.append(readout.norm(rows.mean(0) + torch.cat(parts)))
    torch.testing.assert_close(together, torch.stack(one_by_one))
    monkeypatch.setattr(linegraph.nn.attention, "BLOCK", 1)
    torch.testing.assert_close(readout(x, batch), together)
    (gradient,) = torch.autograd.grad(together.sum() + (together**2).sum(), x)
    assert torch.isfinite(gradient).all()


class Largest(TorchDispatchMode):
    """Values in the largest tensor made while this is on."""

    def __init__(self) -> None:
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else [out]:
            if isinstance(tensor, torch.Tensor):
                self.numel = max(self.numel, tensor.numel())
        return out


@pytest.mark.parametrize("heads", [1, 4])
def test_scores_of_a_large_band_are_not_padded_onto_small_ones(heads: int) -> None:
    """The largest published band has 1,027 atoms, half of them at most 111."""
    largest, others = 1027, [111] * 31
    sizes = [*others[:16], largest, *others[16:], largest]
    readout = linegraph.nn.AttentionReadout(16, heads=heads)
    x = torch.randn(sum(sizes), 16, requires_grad=True)
    owner = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    batch = type("Owners", (), {"batch": owner, "num_graphs": len(sizes)})()
    with Largest() as seen:
        readout(x, batch).sum().backward()
    padded = len(sizes) * heads * largest**2
    assert heads * largest**2 <= seen.numel <= linegraph.nn.attention.BLOCK < padded
    alone = readout.eval()(x[16 * 111 : 16 * 111 + largest], None)
    torch.testing.assert_close(readout(x, batch)[16:17], alone, rtol=1e-4, atol=1e-5)


def test_heads_divide_the_channels() -> None:
    with pytest.raises(ValueError, match="3 heads do not divide 8 channels"):
        linegraph.nn.AttentionReadout(8, heads=3)


def test_plain_data_with_a_batch_vector_is_pooled_by_it() -> None:
    torch.manual_seed(0)
    x = torch.randn(5, 4)
    owner = torch.tensor([0, 0, 1, 1, 1])
    pooled = mean_over_atoms(x, Data(batch=owner, z=torch.ones(5)))
    torch.testing.assert_close(pooled, torch.stack([x[:2].mean(0), x[2:].mean(0)]))


@needs_data
def test_model_4_on_the_largest_published_band() -> None:
    bands = read_bands(SHARED / "data" / "barriers" / "train.json.gz").bands
    largest = max(bands, key=lambda band: len(band.structures[0])).cell
    assert len(largest) == 1027
    model = linegraph.build_model("MODEL-4", **SMALL)
    graphs = [linegraph.views(cell, model.views) for cell in (largest, rock_salt_band())]
    batch = {view: Batch.from_data_list([g[view] for g in graphs]) for view in model.views}
    with Largest() as seen:
        model(batch).sum().backward()
    scores = 1027**2
    triplets = batch["band"].num_triplets
    assert seen.numel <= max(scores, 40 * triplets)
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert len(gradients) > 50
    assert all(gradient.isfinite().all() for gradient in gradients)
