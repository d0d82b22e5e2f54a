"""Trees grown on features, as a module that needs torch alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from linegraph.errors import InputError
from linegraph.nn import Forest

from .columns import FloatArray, checked_table, checked_weights, medians

#: The share of all features that a split is chosen from.
SHARE = 0.4


def grow(
    x: ArrayLike,
    y: ArrayLike,
    trees: int,
    leaves: int,
    seed: int,
    *,
    least: int = 1,
    weights: ArrayLike | None = None,
) -> Forest:
    """Extremely randomised trees over a table of features.

    The mean over trees of what the forest says is what scikit-learn's trees predict, to the
    rounding of values to float32; every record ends at the same leaves. The same input and seed
    give the same numbers, bit for bit.

    Args:
        x: features ``[n, F]``; NaN where one is missing. It is replaced by the median of that
            feature over the records, or by 0 where none has it.
        y: targets ``[n]``, in the unit that the forest shall predict.
        trees: how many.
        leaves: the most leaves of a tree, at least 2.
        seed: of all random choices.
        least: records that every leaf has, at least.
        weights: what each record counts ``[n]``, above 0; the same by default.

    Returns:
        The forest, on the CPU.

    Raises:
        InputError: there are no records, the numbers of features and targets differ, either is
            infinite in float32, a target is NaN, ``leaves`` is below 2, or weights that are not
            one number above 0 a record.

    Source: P. Geurts, D. Ernst and L. Wehenkel, Mach. Learn. 63, 3 (2006).
    """
    from sklearn.ensemble import ExtraTreesRegressor

    table, targets = checked_table(x, y)
    if leaves < 2:
        raise InputError(f"trees have at least 2 leaves, not {leaves}", field="leaves")
    forest = Forest(table.shape[1], trees, leaves)
    fill = medians(table)
    model = ExtraTreesRegressor(
        n_estimators=trees,
        max_features=SHARE,
        # Given a limit, even one out of reach, scikit-learn would split in another order and
        # so draw other random numbers than the same trees without one.
        max_leaf_nodes=leaves if len(table) > leaves else None,
        min_samples_leaf=least,
        random_state=seed,
    )
    counts = checked_weights(weights, len(table))
    model.fit(np.where(np.isnan(table), fill, table), targets, sample_weight=counts)
    state = {name: tensor.clone() for name, tensor in forest.state_dict().items()}
    state["fill"] = torch.from_numpy(fill)
    for k, grown in enumerate(model.estimators_):
        for name, column in _columns(grown.tree_).items():
            state[name][k, : len(column)] = torch.from_numpy(column)
    forest.load_state_dict(state)
    return forest


def _columns(tree: Any) -> dict[str, NDArray[Any]]:
    """A tree of scikit-learn as columns of a :class:`linegraph.nn.Forest`."""
    left, right = tree.children_left, tree.children_right
    order, level = [], np.zeros(1, dtype=np.int64)
    while len(level):
        order.append(level)
        inner = level[left[level] >= 0]
        level = np.stack([left[inner], right[inner]], axis=1).ravel()
    breadth = np.concatenate(order)
    place = np.empty(len(breadth), dtype=np.int16)
    place[breadth] = np.arange(len(breadth))
    leaf = left[breadth] < 0
    return {
        "feature": np.where(leaf, -1, tree.feature[breadth]).astype(np.int16),
        "threshold": np.where(leaf, 0, _rounded_down(tree.threshold[breadth])).astype(np.float32),
        "child": np.where(leaf, 0, place[left[breadth]]).astype(np.int16),
        "value": np.where(leaf, tree.value[breadth, 0, 0], 0).astype(np.float32),
    }


def _rounded_down(thresholds: NDArray[np.float64]) -> FloatArray:
    """The largest float32 that is no more: features in float32 fall on the same side of it."""
    near = thresholds.astype(np.float32)
    found: FloatArray = np.where(near > thresholds, np.nextafter(near, np.float32(-np.inf)), near)
    return found
