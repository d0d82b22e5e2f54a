"""Support vector regression on features, as a module that needs torch alone."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike

from linegraph.errors import InputError
from linegraph.nn import KernelMachine
from linegraph.nn.kernel_machine import distances, matern

from .columns import checked_table, medians


def fit_machine(
    x: ArrayLike,
    y: ArrayLike,
    supports: int,
    seed: int,
    *,
    decay: float = 0.03,
    penalty: float = 10.0,
    tube: float = 0.05,
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
        seed: of the sample.
        decay: of the kernel with the distance of normal scores.
        penalty: what a deviation beyond the tube costs (C).
        tube: deviations up to this cost nothing, in the unit of the targets (epsilon).

    Returns:
        The machine, on the CPU.

    Raises:
        InputError: there are no records, the numbers of features and targets differ, either is
            infinite in float32, a target is NaN, or a setting is out of range.

    Source: A. J. Smola and B. Schölkopf, Stat. Comput. 14, 199 (2004).
    """
    from sklearn.svm import SVR

    table, targets = checked_table(x, y)
    if supports < 1:
        raise InputError(f"a machine has at least 1 support, not {supports}", field="supports")
    _check(decay=decay, penalty=penalty)
    if not 0 <= tube < np.inf:
        raise InputError(f"{tube} is no width of a tube", field="tube")
    machine = KernelMachine(table.shape[1], supports)
    fill = medians(table)
    full = np.where(np.isnan(table), fill, table).astype(np.float64)
    ranks = np.linspace(0, 1, machine.quantiles)
    ruler = {
        "fill": torch.from_numpy(fill),
        "quantile": torch.from_numpy(np.quantile(full, ranks, axis=0).astype(np.float32)),
    }
    machine.load_state_dict(ruler, strict=False)
    if len(table) > supports:
        drawn = np.random.default_rng(seed).choice(len(table), supports, replace=False)
        table, targets = table[drawn], targets[drawn]
    scores = machine.scores(torch.from_numpy(table))
    alike = matern(distances(scores.double(), scores.double()), decay).numpy()
    model = SVR(kernel="precomputed", C=penalty, epsilon=tube).fit(alike, targets)
    state = {name: tensor.clone() for name, tensor in machine.state_dict().items()}
    held = len(model.support_)
    state["support"][:held] = scores[torch.from_numpy(model.support_).long()]
    state["weight"][:held] = torch.from_numpy(model.dual_coef_[0])
    state["intercept"].fill_(float(model.intercept_[0]))
    state["decay"].fill_(decay)
    machine.load_state_dict(state)
    return machine


def _check(**settings: float) -> None:
    for name, value in settings.items():
        if not (np.isfinite(np.float32(value)) and np.float32(value) > 0):
            raise InputError(f"{value} is no number above 0", field=name)
