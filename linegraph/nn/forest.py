"""Regression trees as tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .offered import offered_buffers

#: The most leaves of a tree: then the number of every node fits into int16.
MOST_LEAVES = 1 << 14

#: The most features: so do theirs.
MOST_FEATURES = 1 << 15


class Forest(nn.Module):
    """Regression trees over the same features, which a record goes down all at once.

    At a node of a tree, a record whose feature is at most the threshold goes to the left child,
    any other to the right one, which is the next node. A missing feature (NaN) is first replaced
    by that feature's ``fill``. A new forest has one leaf of value 0 in each tree;
    :func:`training.forest.grow` makes one from data.

    Everything is a buffer: nothing is learned by gradients and none flow back. All is compared in
    float32. ``.double()`` therefore changes nothing, while in half precision (``.half()``,
    ``.bfloat16()``) thresholds and values are rounded, so that records near a threshold may go
    the other way.

    Args:
        features: number of features F (at most 32768).
        trees: number of trees T.
        leaves: the most leaves L that a tree has room for (at most 16384).

    Attributes:
        fill: ``[F]`` float32, in place of missing features.
        feature: ``[T, 2 L - 1]`` int16, which feature a node asks for; -1 at leaves and in padding.
        threshold: ``[T, 2 L - 1]`` float32.
        child: ``[T, 2 L - 1]`` int16, the left child; not looked at in leaves.
        value: ``[T, 2 L - 1]`` float32, of a leaf; not looked at elsewhere.

    Shapes:
        - x ``[B, F]``, which may hold NaN
        - output ``[B, T]`` float32: the value of the leaf that each tree ends at

    Raises:
        ValueError: sizes are out of range, x is of another shape, or ``load_state_dict`` is given
            what is no forest (then nothing of it is loaded here).

    Source: P. Geurts, D. Ernst and L. Wehenkel, Mach. Learn. 63, 3 (2006), for how such trees grow.
    """

    fill: Tensor
    feature: Tensor
    threshold: Tensor
    child: Tensor
    value: Tensor

    def __init__(self, features: int, trees: int, leaves: int) -> None:
        super().__init__()
        if not (1 <= features <= MOST_FEATURES and trees >= 1 and 1 <= leaves <= MOST_LEAVES):
            raise ValueError(
                f"a forest has 1 to {MOST_FEATURES} features, at least 1 tree and 1 to "
                f"{MOST_LEAVES} leaves a tree, not {features}, {trees} and {leaves}"
            )
        self.features, self.trees, self.leaves = features, trees, leaves
        size = (trees, 2 * leaves - 1)
        self.register_buffer("fill", torch.zeros(features, dtype=torch.float32))
        self.register_buffer("feature", torch.full(size, -1, dtype=torch.int16))
        self.register_buffer("threshold", torch.zeros(size, dtype=torch.float32))
        self.register_buffer("child", torch.zeros(size, dtype=torch.int16))
        self.register_buffer("value", torch.zeros(size, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 2 or x.size(1) != self.features:
            raise ValueError(f"expected [B, {self.features}] features, got {list(x.shape)}")
        x = x.float()
        x = torch.where(x.isnan(), self.fill.float(), x)
        feature, child = self.feature.flatten(), self.child.flatten()
        threshold, value = self.threshold.flatten(), self.value.flatten()
        nodes = self.feature.size(1)
        root = torch.arange(self.trees, device=x.device) * nodes
        at = root.expand(x.size(0), -1)
        # Children come after their parents, so that no way down is longer than this.
        for _ in range(nodes):
            asked = feature[at].long()
            inner = asked >= 0
            if not inner.any():
                break
            right = x.gather(1, asked.clamp_min(0)) > threshold[at].float()
            at = torch.where(inner, root + child[at] + right, at)
        return value[at].float()

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *args: Any, **options: Any
    ) -> None:
        state = offered_buffers(self, state_dict, prefix, "forest")
        if state is not None:
            _check_trees(state["feature"].cpu(), state["child"].cpu(), self.features)
        super()._load_from_state_dict(state_dict, prefix, *args, **options)

    def extra_repr(self) -> str:
        return f"features={self.features}, trees={self.trees}, leaves={self.leaves}"


def _check_trees(feature: Tensor, child: Tensor, features: int) -> None:
    """Refuse nodes ``[T, nodes]`` that lead nowhere, or back."""
    nodes = feature.size(1)
    own = torch.arange(nodes, dtype=torch.int16)
    inner = feature >= 0
    # A number that int16 does not hold would wrap round in a comparison: hence the ones taken off.
    for bad, problem in (
        ((feature < -1) | (feature > features - 1), f"asks for none of {features} features"),
        (inner & ((child <= own) | (child >= nodes - 1)), "has children that do not come after it"),
    ):
        if bad.any():
            tree, node = bad.nonzero()[0].tolist()
            raise ValueError(f"node {node} of tree {tree} in a forest {problem}")
