"""Checkpoints and histories that a training goes on from: cases, and how it goes on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from random import Random
from shutil import copytree
from tempfile import mkdtemp
from typing import Any

import torch
from torch import Tensor

from tests.interrupts import interrupted
from tests.tuning import RECIPE, state_of, tune
from training.callbacks import read_history

from .case import Reader
from .checkpoints import EVIL, Payload
from .damage import damaged

#: The second half of the run is to be done.
_RECIPE = RECIPE.changed({"epochs": 2, "keep": "best", "alignn_layers": 0, "batch_size": 8})

#: What values of a checkpoint are replaced by.
_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 3, 10**6, 10**18, 10**30, 0.5, math.nan, math.inf, "x", "../../precious",
    [], {}, [None], torch.zeros(3), torch.zeros(0), torch.full((8, 8), math.nan),
    torch.zeros(8, 8, dtype=torch.float64), torch.zeros(8, dtype=torch.int8),
    torch.zeros(8, 8).to_sparse(), torch.zeros(1).expand(10**12),
)  # fmt: skip


@cache
def _interrupted() -> Path:
    """A run folder of which the last epoch is missing; nobody may write to it."""
    run = Path(mkdtemp()) / "run"
    try:
        with interrupted(1):
            tune(run, _RECIPE, None)
    except KeyboardInterrupt:
        return run
    raise AssertionError("was not interrupted")


@cache
def _whole() -> dict[str, Tensor]:
    """Weights of the run that was not interrupted."""
    run = Path(mkdtemp()) / "run"
    tune(run, _RECIPE, None)
    return state_of(run)


def _copy(folder: Path, name: str) -> Path:
    # What is in a folder called so is what the command may write.
    copytree(_interrupted(), folder / "out")
    return folder / "out" / name


def _checkpoint(folder: Path, random: Random) -> Path:
    path = _copy(folder, "checkpoints/last.ckpt")
    if not random.randrange(3):
        path.write_bytes(damaged(path.read_bytes(), random))
        return path
    state = torch.load(path, weights_only=True)
    for _ in range(random.choice((1, 1, 2))):
        _spoil(state, random)
    torch.save(state, path)
    return path


def _spoil(state: Any, random: Random) -> None:
    """Another value, or none, somewhere in a checkpoint: first the entry, then deeper."""
    while True:
        key = random.choice(list(state) if isinstance(state, Mapping) else range(len(state)))
        inner = state[key]
        if not isinstance(inner, dict | list) or not inner or not random.randrange(6):
            break
        state = inner
    kind = random.randrange(5)
    if kind == 0:
        del state[key]
    elif kind == 1 and isinstance(state, dict):
        state[random.choice(("", "optimizer", 7, "evil"))] = state.pop(key)
    elif kind == 2 and isinstance(inner, Tensor):
        state[key] = torch.cat([inner.reshape(-1)] * 2)
    else:
        state[key] = random.choice(_VALUES)


def _says(change: Callable[[dict[str, Any], Path], object]) -> Callable[[Path], Path]:
    """A checkpoint with a change by hand, given also the folder of the case."""

    def make(folder: Path) -> Path:
        path = _copy(folder, "checkpoints/last.ckpt")
        state = torch.load(path, weights_only=True)
        change(state, folder)
        torch.save(state, path)
        return path

    return make


def _of_best(**changes: Any) -> Callable[[Path], Path]:
    """What the bookkeeping of the best checkpoint says."""

    def change(state: dict[str, Any], _: Path) -> None:
        best = next(v for k, v in state["callbacks"].items() if "val_mae" in k)
        best.update(changes)

    return _says(change)


def _old(state: dict[str, Any], _: Path) -> None:
    state["pytorch-lightning_version"] = "0.9.0"


def _longer(state: dict[str, Any], _: Path) -> None:
    state["epoch"] = 10**6


def _without_momentum(state: dict[str, Any], _: Path) -> None:
    state["optimizer_states"][0]["state"][0]["exp_avg"] = torch.zeros(1)


def _evil(state: dict[str, Any], folder: Path) -> None:
    state["evil"] = Payload(folder / EVIL)


def _best_damaged(folder: Path) -> Path:
    """An earlier epoch stays the best one, whose checkpoint is then read."""
    path = _of_best(
        best_model_score=torch.tensor(0.0),
        best_k_models={"checkpoints/best.ckpt": torch.tensor(0.0)},
        kth_value=torch.tensor(0.0),
    )(folder)
    best = path.with_name("best.ckpt")
    best.write_bytes(best.read_bytes()[:-1000])
    return best


_SCORE = torch.tensor(9.0)

_OF_CHECKPOINT: dict[str, Callable[[Path], Path]] = {
    "untouched": lambda folder: _copy(folder, "checkpoints/last.ckpt"),
    "payload": _says(_evil),
    "Lightning 0.9": _says(_old),
    "10^6 epochs": _says(_longer),
    "no momentum": _says(_without_momentum),
    "best in the folder above": _of_best(
        best_model_path="..", kth_best_model_path="..", best_k_models={"..": _SCORE}
    ),
    "best elsewhere": _of_best(
        best_model_path="../../precious", best_k_models={"../../precious": _SCORE}
    ),
    "best is the last": _of_best(best_model_path="last.ckpt", best_k_models={"last.ckpt": _SCORE}),
    "best is no name": _of_best(best_model_path=5, best_k_models={5: _SCORE}),
    "damaged best": _best_damaged,
}


def _history(folder: Path, random: Random) -> Path:
    path = _copy(folder, "history.csv")
    path.write_bytes(damaged(path.read_bytes(), random))
    return path


def _resume(path: Path) -> None:
    run = next(parent for parent in path.parents if parent.name == "out")
    try:
        tune(run, _RECIPE, None, resume=True)
    finally:
        assert not (run.parent / EVIL).exists(), "the payload was carried out"
        assert (run / "checkpoints" / "last.ckpt").is_file(), "the checkpoint is gone"
    assert all(bool(tensor.isfinite().all()) for tensor in state_of(run).values())
    assert read_history(run / "history.csv")[-1]["epoch"] == 1


def _resume_rightly(path: Path) -> None:
    """A history has no say in the weights."""
    _resume(path)
    run, whole = state_of(path.parent), _whole()
    assert all(torch.equal(run[name], tensor) for name, tensor in whole.items()), "other weights"


READERS = (
    Reader("checkpoint to resume", "files", _checkpoint, _resume, _OF_CHECKPOINT, 1.0),
    Reader("history to resume", "files", _history, _resume_rightly, {
        "untouched": lambda folder: _copy(folder, "history.csv")
    }, 0.3),
)  # fmt: skip
