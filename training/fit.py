"""Fit one model on one split, and leave a run folder behind."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.environments import LightningEnvironment
from torch import Tensor

import linegraph
from linegraph import InputError
from linegraph.atomic_files import replacing
from linegraph.devices import usable_device
from linegraph.models import Model
from linegraph.nn import set_recompute, set_synchronised
from linegraph.weights import save_weights

from .batches import EpochBatches, Targets, as_tensor, loader, triplet_budget
from .callbacks import EpochProgress, History
from .checkpoints import WholeCheckpoints, kept
from .ddp import StopTogether, SummedGradients
from .finite import NotFinite, leave_records
from .graphs import GraphSet
from .ranks import Ranks, explained, here, same
from .recipe import Recipe
from .resuming import check_resumable, weights_in
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
        """``accelerator`` and ``devices`` for Lightning, and more where there are processes.

        Raises:
            InputError: no such device here, or not one for every process.
        """
        usable_device(self.device)
        kind, _, number = self.device.partition(":")
        ranks = here()
        if ranks.count == 1:
            if Ranks.started().count > 1:
                raise InputError("one of several processes trains within training.ranks.joined()")
            return {"accelerator": kind, "devices": [int(number)] if number else 1}
        if number:
            raise InputError(f"{ranks.count} processes cannot share {self.device}; use cuda")
        gpus = torch.cuda.device_count() if kind != "cpu" and torch.cuda.is_available() else None
        if gpus is not None and gpus < ranks.local_count:
            raise InputError(
                f"{ranks.local_count} processes on a machine with {gpus} CUDA devices; start one "
                "for each, or use --device cpu"
            )
        return {
            "accelerator": "cpu" if gpus is None else "cuda",
            "devices": ranks.local_count,
            "num_nodes": ranks.machines,
            "strategy": SummedGradients(),
            "use_distributed_sampler": False,
        }

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
    names: Sequence[str] = (),
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
        names: of every record, for messages; positions by default.
        title: what the progress bar says.
        resume: go on from ``checkpoints/last.ckpt`` if it is there.

    Returns:
        The model with the weights the recipe says to keep, in evaluation mode, on the CPU. Of
        several processes only the first has these, and writes files.

    Raises:
        InputError: no training records, a missing target, an unreadable checkpoint, graphs that
            are gone, or a loss or gradient that is NaN or infinite
            (:mod:`training.finite`).
    """
    if not split.train:
        raise InputError("the training split is empty")
    targets = as_tensor(targets)
    for position in (*split.train, *split.val):
        if not targets[position].isfinite().any():
            raise InputError("there is none to learn from", record=position, field="target")
    L.seed_everything(recipe.seed, workers=True, verbose=False)
    budget, ranks = triplet_budget(recipe), here()
    train = EpochBatches(
        split.train,
        graphs.triplets,
        recipe.batch_size,
        budget,
        shuffle=recipe.shuffle,
        seed=recipe.seed,
        rank=ranks.rank,
        ranks=ranks.count,
    )
    steps = recipe.epochs * len(train)
    task = barrier_task(recipe, targets[split.train], None, steps) if make is None else make(steps)
    model = cast(Model, task.model)
    set_recompute(model, recipe.recompute)
    set_synchronised(model, ranks.count > 1)
    last = folder / "checkpoints" / "last.ckpt"
    resume = same(resume and last.is_file())
    callbacks: list[Callback] = [History(folder / "history.csv")] if ranks.first else []
    if recipe.freeze:
        callbacks.append(Freeze(model, recipe.freeze, recipe.unfreeze_at))
    if ranks.count > 1:
        callbacks.append(StopTogether())
    if ranks.first and machine.progress:
        callbacks.append(EpochProgress(title))
    trainer = _trainer(folder, recipe, machine, callbacks, validate=bool(split.val))
    if resume:
        # Lightning tells the epoch later, when loader processes were given the first batches.
        train.set_epoch(check_resumable(last, task, trainer))
    workers = machine.workers or 0
    val = EpochBatches(
        split.val,
        graphs.triplets,
        recipe.batch_size,
        budget,
        rank=ranks.rank,
        ranks=ranks.count,
    )
    with warnings.catch_warnings():
        # In-memory graphs need no loader processes, and a run may go without validation.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*have no `val_dataloader`.*")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
        # What is logged is that of all processes already, also where this one had no part in it.
        warnings.filterwarnings("ignore", message=".*sync_dist=True.*")
        warnings.filterwarnings("ignore", message=".*was called before the ``update`` method.*")
        deterministic = torch.are_deterministic_algorithms_enabled()
        on_interrupt = signal.getsignal(signal.SIGINT)
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
            signal.signal(signal.SIGINT, on_interrupt)
            raise KeyboardInterrupt from None
        except InputError as error:
            # Of one in a process that collates, torch hands on the text of the whole traceback.
            *traceback, line = str(error).splitlines()
            if not traceback:
                raise
            raise InputError(line.partition("InputError: ")[2]) from error
        except NotFinite as error:
            if not ranks.first:
                raise
            every = names or list(map(str, range(len(targets))))
            raise leave_records(folder, error, every) from error
        except RuntimeError as error:
            cause = explained(error)
            if cause is error:
                raise
            raise cause from error
        finally:
            # The trainer sets it for the whole process, which may not be ours.
            torch.use_deterministic_algorithms(deterministic)
    set_synchronised(model, False)
    if not ranks.first:
        return model.cpu().eval()
    best = getattr(trainer.checkpoint_callback, "best_model_path", "")
    if recipe.keep == "best" and split.val and best:
        state = weights_in(Path(best), task)
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
    plugins: list[Any] = [WholeCheckpoints()]
    if here().count == 1:
        # In a job of a queueing system, too, whose variables Lightning would take for orders.
        plugins.append(LightningEnvironment())
    return L.Trainer(
        default_root_dir=folder,
        max_epochs=recipe.epochs,
        callbacks=[*kept(folder / "checkpoints", validate=validate), *callbacks],
        plugins=plugins,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        deterministic=True,
        precision=cast(Any, recipe.precision),
        **machine.trainer_arguments(),
    )
