"""Settings that save memory: what they change, and what they do not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from linegraph import InputError
from linegraph.nn import EdgeGatedConv
from tests.bands import some_bands
from training.fit import fit
from training.graphs import GraphSet, build_graphs
from training.recipe import Recipe

from .test_fit import QUIET, RECIPE, SPLIT, TARGETS, folder_of


@pytest.fixture(scope="module")
def graphs() -> GraphSet:
    return build_graphs(some_bands(), ("band",), RECIPE.graph_settings)


def weights(folder: Path, graphs: GraphSet, **changes: object) -> dict[str, torch.Tensor]:
    recipe = RECIPE.changed({"epochs": 2, "center": False, **changes})
    return fit(folder_of(folder), recipe, graphs, TARGETS, SPLIT, QUIET).state_dict()


def test_recomputing_learns_the_same(
    tmp_path: Path, graphs: GraphSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to rounding, as products are formed in other blocks."""
    seen: list[bool] = []
    forward = EdgeGatedConv.forward

    def noted(self: EdgeGatedConv, *args: object, **more: object) -> object:
        if self.training:
            seen.append(self.recompute)
        return forward(self, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(EdgeGatedConv, "forward", noted)
    usual = weights(tmp_path / "a", graphs)
    assert not any(seen)
    seen.clear()
    lean = weights(tmp_path / "b", graphs, recompute=True)
    assert all(seen)
    for name, tensor in usual.items():
        torch.testing.assert_close(lean[name], tensor, rtol=1e-4, atol=1e-5, msg=name)


def test_mixed_precision_learns_about_the_same(tmp_path: Path, graphs: GraphSet) -> None:
    """A step goes another way in the third digit; weights are kept in float32."""
    usual = weights(tmp_path / "a", graphs, lr=1e-4)
    mixed = weights(tmp_path / "b", graphs, lr=1e-4, precision="bf16-mixed")
    means = [name for name in usual if name.endswith("running_mean")]
    assert any(not torch.equal(usual[name], mixed[name]) for name in means)
    for name, tensor in usual.items():
        assert mixed[name].dtype == tensor.dtype
        torch.testing.assert_close(mixed[name], tensor, rtol=0.1, atol=0.05, msg=name)


def test_unknown_precision() -> None:
    with pytest.raises(InputError, match="precision: .*'half'.*32-true, bf16-mixed"):
        Recipe(summary="").changed({"precision": "half"})
