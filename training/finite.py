"""A training that meets NaN or infinity stops, and leaves the records that it happened with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from linegraph import InputError

from .files import write_csv

#: The file in the run folder, and its columns. An output of several values has blanks in between.
NOT_FINITE = "not-finite.csv"
COLUMNS = ("sys_name", "target", "output", "finite")

#: A record's position, its targets and the outputs of the model, each a list of one or several.
Said = tuple[int, list[float], list[float]]


class NotFinite(Exception):
    """A loss or a gradient is NaN or infinite.

    Args:
        what: which of them.
        epoch: when, counted from 1.
        step: of the epoch, counted from 1.
        said: of every record of the batch.
    """

    def __init__(self, what: str, epoch: int, step: int, said: Sequence[Said]) -> None:
        super().__init__(f"the {what} is NaN or infinite in epoch {epoch}, step {step}")
        self.said = said


def what_is_not_finite(loss: Tensor, parameters: Iterable[nn.Parameter]) -> str:
    """``"loss"``, ``"gradient"``, or nothing if both are finite.

    Args:
        loss: a number.
        parameters: whose gradients are looked at.
    """
    grads = [p.grad for p in parameters if p.grad is not None]
    # One question to the device a step: each makes it wait until all is done.
    norm = torch.nn.utils.get_total_norm(grads)
    if bool((loss.isfinite() & norm.to(loss.device).isfinite()).item()):
        return ""
    return "gradient" if bool(loss.isfinite().item()) else "loss"


def said_of(position: Tensor, target: Tensor, out: Tensor) -> list[Said]:
    """What a model said of the records of a part: positions ``[B]``, ``[B]`` or ``[B, P]``."""
    rows = zip(position.tolist(), target, out, strict=True)
    return [(i, y.reshape(-1).tolist(), said.reshape(-1).tolist()) for i, y, said in rows]


def leave_records(folder: Path, error: NotFinite, names: Sequence[str]) -> InputError:
    """Write the records of the batch to a file; returns the error for the user.

    Args:
        folder: of the run.
        error: what happened.
        names: of all records, by position.
    """
    rows = [
        (names[i], _text(target), _text(out), bool(torch.tensor(out).isfinite().all()))
        for i, target, out in sorted(error.said)
    ]
    path = folder / NOT_FINITE
    write_csv(path, COLUMNS, rows)
    return InputError(
        f"{error}; this file has the records of that batch and what the model said of them. The "
        "checkpoints are of epochs before. A lower lr or a clip may help, if the records are right",
        file=path,
    )


def _text(values: Sequence[float]) -> str:
    return " ".join(map(repr, values))
