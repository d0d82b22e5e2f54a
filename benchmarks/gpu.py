"""Workload ``gpu``: throughput of MODEL-3 against batch size, back end and precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from linegraph import InputError, use_backend

from . import bars
from .compare import Case, Measured, Options, Workload
from .graphs import bands, repeated
from .model import BARS, INFERENCE, MODEL, TOLERANCE, TRAINING, difference
from .passes import BF16, FLOAT32, TF32, Batches, Found, Pass, in_precision, loss_weights, new_model
from .sides import (
    LITERAL,
    OURS,
    ROWS_OF_MODEL,
    backend_of,
    backend_sides,
    doubles,
    literal_side,
    our_side,
    too_large,
)

#: Bands in a batch, the published width, and precisions with the difference that is rounding.
SIZES, QUICK, WIDTH = (1, 4, 16, 64), (1,), 256
PRECISIONS = {FLOAT32: TOLERANCE, TF32: 0.02, BF16: 0.1}

#: Training steps of the two runs that must agree to the bit, and bands in a batch of them.
STEPS, TOGETHER = 3, 4

IDENTICAL, BAR = "identical bits", "bar (x)"

SIDES = (
    our_side(),
    *backend_sides(),
    literal_side(),
)


def cases(options: Options) -> Iterator[Case]:
    """Every batch size, precision and task; then two runs with one seed.

    Raises:
        InputError: there is no GPU to measure, and it is not to be quick.
    """
    if options.device == "cpu" and not options.quick:
        raise InputError(
            "gpu measures a GPU: give --device cuda, or --quick to see that it runs on a CPU"
        )
    hidden = options.hidden or (8 if options.quick else WIDTH)
    some = bands(options, 64)
    for size in QUICK if options.quick else SIZES:
        batches = Batches(repeated(some, size), size, options.device)
        for precision in PRECISIONS:
            for task in (TRAINING, INFERENCE):
                yield _case(task, precision, hidden, batches, options)
    yield _two_runs(hidden, Batches(repeated(some, TOGETHER), TOGETHER, options.device), options)


def _case(task: str, precision: str, hidden: int, batches: Batches, options: Options) -> Case:
    backward = task == TRAINING
    model = cache(lambda: new_model(MODEL, hidden, options.device, batches.ours()[0]))
    peaks: dict[str, float] = {}
    runs = {}
    for side in SIDES:
        once = Pass(model, batches.of(side.name), backend_of(side.name), backward, precision)
        runs[side.name] = _Peak(once, side.name, peaks, options.device)
    triplets = batches.triplets(SIDES)
    bar = BARS[options.device].get(task) if precision == FLOAT32 else None

    def figures(results: Mapping[str, Any]) -> dict[str, float]:
        found = {f"GiB, {name}": peak for name, peak in peaks.items()}
        return found if bar is None or options.quick else {**found, BAR: bar}

    return Case(
        name=f"{task}, {precision}, {len(batches.graphs)} bands",
        sizes=batches.sizes,
        runs=runs,
        difference=difference if precision == FLOAT32 else overall_difference,
        tolerance=PRECISIONS[precision],
        figures=figures,
        left_out=too_large(triplets, hidden, options, ROWS_OF_MODEL[backward]) | doubles(options),
    )


def overall_difference(ours: Found, other: Found) -> float:
    """Of all outputs, or of all gradients, as vectors: length of the difference over their length.

    In low precision single numbers may be off by as much as they are large.
    """
    found = []
    for one, two in zip(ours, other, strict=True):
        pairs = [(a.double(), b.double()) for a, b in zip(one, two, strict=True)]
        off = sum(float((a - b).square().sum()) for a, b in pairs)
        size = sum(float(a.square().sum()) for a, _ in pairs)
        found.append((off / size) ** 0.5 if size > 0 else off)
    return float("nan") if any(f != f for f in found) else max(found)


class _Peak:
    """A pass that notes, the first time, what the GPU's allocator held at most (GiB)."""

    def __init__(
        self, run: Callable[[], Found], name: str, peaks: dict[str, float], device: str
    ) -> None:
        self.run, self.name, self.peaks, self.device = run, name, peaks, device

    def __call__(self) -> Found:
        if self.name in self.peaks or self.device == "cpu":
            return self.run()
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        found = self.run()
        torch.cuda.synchronize()
        self.peaks[self.name] = torch.cuda.max_memory_allocated() / 2**30
        return found


def _two_runs(hidden: int, batches: Batches, options: Options) -> Case:
    def figures(results: Mapping[str, Any]) -> dict[str, float]:
        again = train_steps(hidden, batches.ours(), options.device)
        same = [torch.equal(a, b) for a, b in zip(results[OURS], again, strict=True)]
        return {IDENTICAL: float(all(same))}

    return Case(
        name=f"two trainings of {STEPS} steps, one seed",
        sizes=batches.sizes,
        runs={OURS: partial(train_steps, hidden, batches.ours(), options.device)},
        figures=figures,
    )


def train_steps(hidden: int, batches: Sequence[Any], device: str) -> list[Tensor]:
    """Parameters, gradients and statistics of a model after a few steps of Adam."""
    model: nn.Module = new_model(MODEL, hidden, device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    model.train()
    with use_backend("auto"), in_precision(FLOAT32, torch.device(device).type):
        for _ in range(STEPS):
            for batch in batches:
                optimizer.zero_grad(set_to_none=True)
                out = model(batch)
                (out * loss_weights(out)).sum().backward()
                optimizer.step()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    return [*model.state_dict().values(), *gradients]


def conclude(rows: Sequence[Measured]) -> list[str]:
    """The bars."""
    found = []
    for row in rows:
        if BAR in row.figures:
            ratio = bars.faster(row, LITERAL)
            found.append(
                bars.at_least(f"{row.case.name}, against {LITERAL}", row.figures[BAR], ratio)
            )
        if IDENTICAL in row.figures:
            same = "the same bits" if row.figures[IDENTICAL] else "different bits, missed"
            found.append(f"bar: {row.case.name}: {same}.")
    return found


WORKLOAD = Workload(
    name="gpu",
    summary=f"{MODEL} on a GPU: batch size, back end, precision",
    sides=SIDES,
    cases=cases,
    rates=("structures", "triplets"),
    devices=("cpu", "cuda"),
    conclude=conclude,
)
