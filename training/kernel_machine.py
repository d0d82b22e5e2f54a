"""Support vector regression on features, as a module that needs torch alone."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from linegraph.errors import InputError
from linegraph.nn import KernelMachine
from linegraph.nn.kernel_machine import distances, matern

from .columns import FloatArray, checked_table, checked_weights, medians


def fit_machine(
    x: ArrayLike,
    y: ArrayLike,
    supports: int,
    seed: int,
    *,
    decay: float = 0.03,
    penalty: float = 10.0,
    tube: float = 0.05,
    machines: int = 1,
    share: float = 1.0,
    weights: ArrayLike | None = None,
    ruler: ArrayLike | None = None,
) -> KernelMachine:
    """Support vector regression over a table of features.

    The machine says what scikit-learn's regression says that is given the same kernel, to the
    rounding of float32. The same input and seed give the same numbers, bit for bit.

    Args:
        x: features ``[n, F]``; NaN where one is missing. It is replaced by the median of that
            feature over the records, or by 0 where none has it.
        y: targets ``[n]``, in the unit that the machine shall predict.
        supports: the most records that the machine can hold. Of more than these a random sample of
            so many is fitted; medians and quantiles are those of all.
        seed: of the sample, and of what each machine sees.
        decay: of the kernel with the distance of normal scores, of all features. Distances of a
            share of them are shorter, and the decay is faster in proportion.
        penalty: what a deviation beyond the tube costs (C).
        tube: deviations up to this cost nothing, in the unit of the targets (epsilon).
        machines: how many there are in one.
        share: of the features that each of them sees, drawn at random; one at least.
        weights: what each record counts ``[n]``, above 0: its share of the penalty.
        ruler: features ``[m, F]`` that medians and quantiles are those of; the records' by default.

    Returns:
        The machine, on the CPU.

    Raises:
        InputError: there are no records, the numbers of features and targets differ, either is
            infinite in float32, a target is NaN, or a setting, weight or ruler is out of range.

    Source: A. J. Smola and B. Schölkopf, Stat. Comput. 14, 199 (2004), and for random subspaces
    T. K. Ho, IEEE Trans. Pattern Anal. Mach. Intell. 20, 832 (1998).
    """
    from sklearn.svm import SVR

    table, targets = checked_table(x, y)
    if supports < 1:
        raise InputError(f"a machine has at least 1 support, not {supports}", field="supports")
    _check(decay=decay, penalty=penalty)
    if machines < 1:
        raise InputError(f"there is at least 1 machine, not {machines}", field="machines")
    if not 0 < share <= 1:
        raise InputError(f"{share} is no share of the features", field="share")
    if not 0 <= tube < np.inf:
        raise InputError(f"{tube} is no width of a tube", field="tube")
    machine = KernelMachine(table.shape[1], supports, machines=machines)
    counts = checked_weights(weights, len(table))
    measured = table if ruler is None else _ruler(ruler, table.shape[1])
    fill = medians(measured)
    full = np.where(np.isnan(measured), fill, measured).astype(np.float64)
    ranks = np.linspace(0, 1, machine.quantiles)
    scale = {
        "fill": torch.from_numpy(fill),
        "quantile": torch.from_numpy(np.quantile(full, ranks, axis=0).astype(np.float32)),
    }
    machine.load_state_dict(scale, strict=False)
    if len(table) > supports:
        drawn = np.random.default_rng(seed).choice(len(table), supports, replace=False)
        table, targets, counts = table[drawn], targets[drawn], counts[drawn]
    scores = machine.scores(torch.from_numpy(table))
    state = {name: tensor.clone() for name, tensor in machine.state_dict().items()}
    state["seen"][:] = torch.from_numpy(_subspaces(machines, table.shape[1], share, seed))
    state["decay"].fill_(decay / share**0.5)
    weight = np.zeros((machines, len(table)))
    for k, seen in enumerate(state["seen"]):
        own = scores[:, seen].double()
        alike = matern(distances(own, own), decay / share**0.5).numpy()
        model = SVR(kernel="precomputed", C=penalty, epsilon=tube)
        model.fit(alike, targets, sample_weight=counts)
        weight[k, model.support_] = model.dual_coef_[0]
        state["intercept"][k] = float(model.intercept_[0])
    held = np.flatnonzero(weight.any(axis=0))
    state["support"][: len(held)] = scores[torch.from_numpy(held)]
    state["weight"][:, : len(held)] = torch.from_numpy(weight[:, held])
    machine.load_state_dict(state)
    return machine


def _ruler(rows: ArrayLike, features: int) -> FloatArray:
    """Rows of features that ranks are read off."""
    found = np.asarray(rows)
    if found.ndim != 2 or found.shape[1] != features:
        raise InputError(f"is {list(found.shape)}, not rows of {features}", field="ruler")
    return checked_table(found, np.zeros(len(found)))[0]


def _subspaces(machines: int, features: int, share: float, seed: int) -> NDArray[np.bool_]:
    """Which features each machine sees ``[K, F]``."""
    # Not the generator of the sample, which there may be none of.
    random = np.random.default_rng([seed, 1])
    seen = np.zeros((machines, features), dtype=bool)
    for row in seen:
        row[random.choice(features, max(1, round(share * features)), replace=False)] = True
    return seen


def _check(**settings: float) -> None:
    for name, value in settings.items():
        if not (np.isfinite(np.float32(value)) and np.float32(value) > 0):
            raise InputError(f"{value} is no number above 0", field=name)
