"""Checkpoints that a run goes on from: looked at in full before anything is changed by them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor

from linegraph import InputError
from linegraph.checkpoint import check_archive, reason
from linegraph.errors import shortened

from .checkpoints import Kept
from .task import Task

#: No count of steps, batches or epochs, and no number of a schedule, is as large.
_LARGEST = 1 << 53

#: What the optimiser keeps for a parameter: a count, and two averages of the parameter's shape.
_AVERAGES = ("exp_avg", "exp_avg_sq")


class _Differs(Exception):
    """Where a checkpoint is not of this run, and in what.

    Args:
        where: keys that lead there.
        problem: what is found.
    """

    def __init__(self, where: Sequence[object], problem: str) -> None:
        super().__init__(problem)
        self.where, self.problem = ".".join(map(str, where)), problem


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What is in a checkpoint, opened with ``weights_only``, on the CPU.

    Raises:
        InputError: it cannot be read, is damaged, or holds more than tensors and plain values.
    """
    check_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of formats that are refused anyway
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails in as many ways as it has bytes
        raise InputError(f"checkpoint cannot be read ({reason(error)})", file=path) from error
    if not isinstance(found, dict):
        raise InputError("is no checkpoint of a training", file=path)
    return found


def check_resumable(path: Path, task: Task, trainer: L.Trainer) -> int:
    """Refuse a checkpoint that is not of a run as this one.

    Lightning takes what it finds, and fails in the middle of it, or goes on with what is left of
    its own state: it would also remove whatever path a checkpoint calls its last best one.

    Args:
        path: the checkpoint.
        task: what is trained, with the steps of the whole run.
        trainer: that will go on.

    Returns:
        How many epochs are done: the number of the one to go on with, counted from 0.

    Raises:
        InputError: see :func:`read_checkpoint`, or it lacks something, holds tensors of other
            names, shapes or types, NaN, more steps than the run has, or paths that are not those
            of checkpoints; the field says where.
    """
    found = read_checkpoint(path)
    with _named(path, "without it, the run starts anew"):
        return _check(found, task, trainer)


def weights_in(path: Path, task: Task) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name, on the CPU.

    Args:
        path: the checkpoint.
        task: what is trained.

    Raises:
        InputError: see :func:`read_checkpoint`, or tensors of other names, shapes or types.
    """
    found = read_checkpoint(path)
    with _named(path, "the run has to be done anew"):
        _mapping(found, ("state_dict",), ())
        _like(found["state_dict"], task.state_dict(), ("state_dict",))
    state: dict[str, Tensor] = found["state_dict"]
    return state


@contextmanager
def _named(path: Path, advice: str) -> Iterator[None]:
    """Say in which file something is not of this run."""
    try:
        yield
    except _Differs as error:
        raise InputError(
            f"is no checkpoint of this run: {error.problem}; {advice}",
            file=path,
            field=shortened(error.where, 200),
        ) from None


def _check(found: dict[str, Any], task: Task, trainer: L.Trainer) -> int:
    """Returns how many epochs are done."""
    _mapping(found, ("state_dict", "loops", "callbacks"), ())
    _like(found["state_dict"], task.state_dict(), ("state_dict",))
    _check_version(found.get("pytorch-lightning_version"))
    loop = ("loops", "fit_loop")
    _mapping(found["loops"], ("fit_loop",), ("loops",))
    _like(found["loops"]["fit_loop"], trainer.fit_loop.state_dict(), loop)  # type: ignore[no-untyped-call]
    epochs: int = found["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    counts: tuple[tuple[str, Any, int | None], ...] = (
        ("epoch", found.get("epoch"), trainer.max_epochs),
        ("global_step", found.get("global_step"), task.steps),
        ("loops.fit_loop.epoch_progress.current.processed", epochs, trainer.max_epochs),
    )
    for name, count, most in counts:
        _like(count, 0, (name,))
        if most is not None and count > most:
            raise _Differs((name,), f"is {count}, but the whole run has {most}")
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, Kept):
            _check_kept(found["callbacks"], callback)
    _check_optimizer(found, task)
    return epochs


def _check_version(version: object) -> None:
    """Of other releases, Lightning rewrites the checkpoint by rules of its own."""
    ours = L.__version__.split(".")[0]
    if not isinstance(version, str) or version.split(".")[0] != ours or len(version) > 50:
        told = shortened(repr(version), 50)
        raise _Differs(("pytorch-lightning_version",), f"is {told}, not one of release {ours}")


def _check_kept(states: Any, callback: Kept) -> None:
    """What is known of other checkpoints: paths that are removed once there are better ones."""
    where: tuple[object, ...] = ("callbacks", callback.state_key)
    _mapping(states, (callback.state_key,), ("callbacks",))
    state = states[callback.state_key]
    _mapping(state, tuple(callback.state_dict()), where)
    _mapping(state["best_k_models"], (), (*where, "best_k_models"))
    paths = ("best_model_path", "kth_best_model_path", "last_model_path")
    scores = ("best_model_score", "current_score", "kth_value")
    for path in (*(state[name] for name in paths), *state["best_k_models"]):
        if not isinstance(path, str) or (path and Path(path).name != f"{callback.filename}.ckpt"):
            raise _Differs(where, f"names {shortened(repr(path), 100)} as its own")
    for score in (*(state[name] for name in scores), *state["best_k_models"].values()):
        if score is not None and (not isinstance(score, Tensor) or score.numel() != 1):
            raise _Differs(where, "has a score that is no number")


def _check_optimizer(found: dict[str, Any], task: Task) -> None:
    """The state of the optimiser and of the schedule, beside new ones."""
    made = task.configure_optimizers()
    optimizer = made["optimizer"] if isinstance(made, dict) else made
    schedules = [made["lr_scheduler"].state_dict()] if isinstance(made, dict) else []
    _like(found.get("lr_schedulers"), schedules, ("lr_schedulers",))
    for state, fresh in zip(found["lr_schedulers"], schedules, strict=True):
        if state["last_epoch"] > task.steps:
            raise _Differs(("lr_schedulers", 0, "last_epoch"), "is beyond the last step")
        for key in ("total_steps", "_schedule_phases"):
            if state[key] != fresh[key]:
                raise _Differs(("lr_schedulers", 0, key), "is of another schedule")
    where: tuple[object, ...] = ("optimizer_states", 0)
    states = found.get("optimizer_states")
    if not isinstance(states, list) or len(states) != 1:
        raise _Differs(where, "is not the state of one optimiser")
    _mapping(states[0], ("state", "param_groups"), where)
    _like(states[0]["param_groups"], optimizer.state_dict()["param_groups"], where)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    where = (*where, "state")
    _mapping(states[0]["state"], (), where)
    for index, state in states[0]["state"].items():
        # Parameters that were frozen all along have none.
        if not isinstance(index, int) or not 0 <= index < len(parameters):
            raise _Differs(where, f"there is no parameter {shortened(repr(index), 50)}")
        shape = parameters[index].detach()
        wanted = {"step": torch.zeros(()), **dict.fromkeys(_AVERAGES, shape)}
        _like(state, wanted, (*where, index))


def _mapping(found: Any, keys: Sequence[object], where: tuple[object, ...]) -> None:
    if not isinstance(found, Mapping):
        raise _Differs(where, "is missing, or holds no values by name")
    for key in keys:
        if key not in found:
            raise _Differs((*where, key), "is missing")


def _like(found: Any, wanted: Any, where: tuple[object, ...]) -> None:
    """Refuse what has another form than what is wanted: keys, lengths, types, shapes, words."""
    for problem in _differences(found, wanted, where):
        raise problem


def _differences(found: Any, wanted: Any, where: tuple[object, ...]) -> Iterator[_Differs]:
    if isinstance(wanted, Mapping):
        _mapping(found, tuple(wanted), where)
        for key in found:
            if key not in wanted:
                yield _Differs((*where, key), "is unknown here")
            else:
                yield from _differences(found[key], wanted[key], (*where, key))
    elif isinstance(wanted, list | tuple):
        if not isinstance(found, list | tuple) or len(found) != len(wanted):
            yield _Differs(where, f"is no list of {len(wanted)}")
        else:
            for index, pair in enumerate(zip(found, wanted, strict=True)):
                yield from _differences(*pair, (*where, index))
    elif isinstance(wanted, Tensor):
        yield from _of_tensor(found, wanted, where)
    elif isinstance(wanted, bool) or wanted is None:
        if type(found) is not type(wanted):
            yield _Differs(where, f"is {shortened(repr(found), 50)}, not {wanted}")
    elif isinstance(wanted, int | float):
        number = isinstance(found, int | float) and not isinstance(found, bool)
        if not number or (isinstance(wanted, int) and not isinstance(found, int)):
            yield _Differs(where, f"is {shortened(repr(found), 50)}, no number as {wanted}")
        elif not abs(found) < _LARGEST or (found < 0 and isinstance(found, int)):
            yield _Differs(where, f"is {shortened(repr(found), 50)}, which no number here can be")
    elif found != wanted:
        yield _Differs(where, f"is {shortened(repr(found), 50)}, not {wanted!r}")


def _of_tensor(found: Any, wanted: Tensor, where: tuple[object, ...]) -> Iterator[_Differs]:
    if not isinstance(found, Tensor):
        yield _Differs(where, "is no tensor")
    elif found.shape != wanted.shape or found.dtype != wanted.dtype:
        yield _Differs(
            where,
            f"is {found.dtype} of shape {tuple(found.shape)}, "
            f"not {wanted.dtype} of shape {tuple(wanted.shape)}",
        )
    elif found.layout != torch.strided or found.device.type != "cpu":
        yield _Differs(where, "is no dense array of numbers")
    elif not bool(found.isfinite().all()):
        yield _Differs(where, "holds NaN or infinite numbers")
