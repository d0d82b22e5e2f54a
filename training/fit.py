"""Fit one model on one split, and leave a run folder behind."""

from __future__ import annotations

import logging
import re
import signal
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch import Tensor

import linegraph
from linegraph import InputError
from linegraph.models import Model
from linegraph.nn import set_recompute
from linegraph.weights import save_weights

from .batches import EpochBatches, Targets, as_tensor, loader, triplet_budget
from .callbacks import EpochProgress, History
from .files import replacing
from .graphs import GraphSet
from .recipe import Recipe
from .splits import Split
from .task import BarrierTask, Task, center_output
from .transfer import Freeze, Start, apply_start


@dataclass(frozen=True)
class Machine:
    """Where and how to compute; nothing here changes what is computed.

    Attributes:
        device: auto, cpu, cuda, or cuda:N.
        workers: processes that build graphs and collate batches; None for a sensible number.
        progress: show progress bars.
    """

    device: str = "auto"
    workers: int | None = None
    progress: bool = True

    def trainer_arguments(self) -> dict[str, Any]:
        """``accelerator`` and ``devices`` for Lightning.

        Raises:
            InputError: no such device here.
        """
        if not re.fullmatch(r"auto|cpu|cuda(:[0-9]+)?", self.device):
            raise InputError(f"unknown device {self.device!r}; known are auto, cpu, cuda, cuda:N")
        kind, _, number = self.device.partition(":")
        if kind == "cuda" and not torch.cuda.is_available():
            raise InputError("no CUDA device is available here; use --device cpu")
        if number and int(number) >= torch.cuda.device_count():
            raise InputError(f"there are {torch.cuda.device_count()} CUDA devices, none {number}")
        return {"accelerator": kind, "devices": [int(number)] if number else 1}

    @classmethod
    def usable(cls, machine: Machine | None) -> Machine:
        """The machine, or the default one.

        Raises:
            InputError: its device is not here.
        """
        machine = machine or cls()
        machine.trainer_arguments()
        return machine


def fit(
    folder: Path,
    recipe: Recipe,
    graphs: GraphSet,
    targets: Targets,
    split: Split,
    machine: Machine,
    *,
    make: Callable[[int], Task] | None = None,
    title: str = "Training",
    resume: bool = False,
) -> Model:
    """Train a model and write ``checkpoints/``, ``history.csv`` and ``model.safetensors``.

    Args:
        folder: the run folder; exists.
        recipe: all settings.
        graphs: of every record.
        targets: of every record.
        split: positions of training and validation records.
        machine: where to compute.
        make: the task, given the number of its steps; by default :func:`barrier_task`.
        title: what the progress bar says.
        resume: go on from ``checkpoints/last.ckpt`` if it is there.

    Returns:
        The model with the weights the recipe says to keep, in evaluation mode, on the CPU.

    Raises:
        InputError: no training records, a missing target, an unreadable checkpoint, or graphs
            that are gone.
    """
    if not split.train:
        raise InputError("the training split is empty")
    targets = as_tensor(targets)
    for position in (*split.train, *split.val):
        if not targets[position].isfinite().any():
            raise InputError("there is none to learn from", record=position, field="target")
    L.seed_everything(recipe.seed, workers=True, verbose=False)
    budget = triplet_budget(recipe)
    train = EpochBatches(
        split.train,
        graphs.triplets,
        recipe.batch_size,
        budget,
        shuffle=recipe.shuffle,
        seed=recipe.seed,
    )
    steps = recipe.epochs * len(train)
    task = barrier_task(recipe, targets[split.train], None, steps) if make is None else make(steps)
    model = cast(Model, task.model)
    set_recompute(model, recipe.recompute)
    last = folder / "checkpoints" / "last.ckpt"
    resume = resume and last.is_file()
    if resume:
        _check_checkpoint(last)
    callbacks: list[Callback] = []
    if recipe.freeze:
        callbacks.append(Freeze(model, recipe.freeze, recipe.unfreeze_at))
    if machine.progress:
        callbacks.append(EpochProgress(title))
    trainer = _trainer(folder, recipe, machine, callbacks, validate=bool(split.val))
    workers = machine.workers or 0
    val = EpochBatches(split.val, graphs.triplets, recipe.batch_size, budget)
    with warnings.catch_warnings():
        # In-memory graphs need no loader processes, and a run may go without validation.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*have no `val_dataloader`.*")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
        deterministic = torch.are_deterministic_algorithms_enabled()
        try:
            trainer.fit(
                task,
                loader(graphs, targets, train, workers),
                loader(graphs, targets, val, workers) if split.val else None,
                ckpt_path=str(last) if resume else None,
                weights_only=True if resume else None,
            )
        except SystemExit:
            # Lightning's answer to Ctrl+C and to a request to terminate: it leaves the program,
            # and Ctrl+C without effect. What to do then is for our callers to decide.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise KeyboardInterrupt from None
        except InputError as error:
            # Of one in a process that collates, torch hands on the text of the whole traceback.
            *traceback, line = str(error).splitlines()
            if not traceback:
                raise
            raise InputError(line.partition("InputError: ")[2]) from error
        finally:
            # The trainer sets it for the whole process, which may not be ours.
            torch.use_deterministic_algorithms(deterministic)
    best = getattr(trainer.checkpoint_callback, "best_model_path", "")
    if recipe.keep == "best" and split.val and best:
        state = torch.load(best, map_location="cpu", weights_only=True)["state_dict"]
        prefix = "model."
        model.load_state_dict(
            {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        )
    model = model.cpu().eval()
    with replacing(folder / "model.safetensors") as partial:
        save_weights(
            partial, model, recipe.model, task.model_config, recipe.graph_settings, task.outputs
        )
    return model


def barrier_task(recipe: Recipe, targets: Tensor, start: Start | None, steps: int) -> Task:
    """The task of a barrier model.

    Args:
        recipe: all settings.
        targets: of the training records, eV.
        start: weights to start from; None for random ones.
        steps: optimiser steps of the whole run.
    """
    model = linegraph.build_model(recipe.model, **recipe.model_config)
    if start is not None:
        apply_start(model, start, recipe)
    # A head that was kept already knows where barriers lie.
    if recipe.center and (start is None or recipe.new_head):
        center_output(model, targets.tolist())
    return BarrierTask(model, recipe, steps)


def _check_checkpoint(path: Path) -> None:
    """Refuse a checkpoint that cannot be read, or that holds more than tensors and numbers."""
    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails in as many ways as it has bytes
        reason = str(error).strip().splitlines()
        raise InputError(
            f"checkpoint cannot be read ({reason[0] if reason else type(error).__name__})",
            file=path,
        ) from error


def _trainer(
    folder: Path,
    recipe: Recipe,
    machine: Machine,
    callbacks: list[Callback],
    *,
    validate: bool,
) -> L.Trainer:
    # Lightning greets and advises at length; what a person should see is the progress bar.
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    checkpoint = ModelCheckpoint(
        dirpath=folder / "checkpoints",
        filename="best",
        monitor="val_mae" if validate else None,
        enable_version_counter=False,
        save_last=True,
    )
    return L.Trainer(
        max_epochs=recipe.epochs,
        callbacks=[checkpoint, History(folder / "history.csv"), *callbacks],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        deterministic=True,
        precision=cast(Any, recipe.precision),
        **machine.trainer_arguments(),
    )
