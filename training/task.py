"""The training step of barriers, and what every training step shares: optimiser, schedule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MeanAbsoluteError, MeanMetric

from linegraph.models import Model
from linegraph.roots import smooth_root

from .batches import Part
from .ddp import records_in_step
from .finite import NotFinite, said_of, what_is_not_finite
from .ranks import add_gradients, gathered, here, total
from .recipe import Recipe
from .transfer import learning_rate_factor

#: Where the huber loss turns linear, eV: about the error a good model makes.
HUBER_DELTA = 0.25

#: The scale of square roots of barriers, and where their loss turns linear, in eV^1/2.
ROOT_WIDTH, ROOT_DELTA = 0.4, 0.2

#: The scale of barriers in the loss of both, eV.
ENERGY_WIDTH = 0.5

#: Loss of every output by itself; the last argument is where huber turns linear.
LOSSES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "l1": lambda out, target, delta: F.l1_loss(out, target, reduction="none"),
    "mse": lambda out, target, delta: F.mse_loss(out, target, reduction="none"),
    "huber": lambda out, target, delta: F.huber_loss(out, target, delta=delta, reduction="none"),
    "root": lambda out, target, delta: _loss_of_roots(out, target),
    "mixed": lambda out, target, delta: _mixed_loss(out, target),
}


def _loss_of_roots(out: Tensor, target: Tensor) -> Tensor:
    """Huber loss of square roots, in which large and rare barriers weigh less."""
    ours, theirs = (smooth_root(value) / ROOT_WIDTH for value in (out, target))
    return F.smooth_l1_loss(ours, theirs, beta=ROOT_DELTA / ROOT_WIDTH, reduction="none")


def _mixed_loss(out: Tensor, target: Tensor) -> Tensor:
    """Absolute errors of square roots and of barriers, in equal parts.

    By roots alone high barriers are said too low; by energies alone they outweigh all others.
    """
    roots = (smooth_root(out) - smooth_root(target)).abs() / ROOT_WIDTH
    return 0.5 * roots + 0.5 * (out - target).abs() / ENERGY_WIDTH


class Task(L.LightningModule):
    """Fit a model to targets.

    A batch is a list of parts that fit the memory; gradients of the parts add up to the gradient
    of the mean loss over the records of the whole batch, of all processes together.

    Args:
        model: maps graphs by view to outputs.
        recipe: optimiser and schedule.
        steps: optimiser steps of the whole run, for the schedule.

    Attributes:
        columns: what is logged once an epoch besides ``loss``, ``train_mae`` and ``val_mae``.
        unit: of the mean absolute errors, for a person.
        outputs: names of the model's outputs, where it has several.
    """

    columns: tuple[str, ...] = ()
    unit = ""
    outputs: tuple[str, ...] = ()

    def __init__(self, model: nn.Module, recipe: Recipe, steps: int) -> None:
        super().__init__()
        self.model = model
        self.recipe = recipe
        self.steps = steps
        # One batch may take several passes, whose number only the batch knows.
        self.automatic_optimization = False
        self.train_loss = MeanMetric()

    def loss_of(self, out: Tensor, part: Part) -> Tensor:
        """Sum of the loss over the records of a part."""
        raise AssertionError("a task says what its loss is")

    def note(self, stage: str, out: Tensor, part: Part) -> None:
        """Take note of outputs while training (``"train"``) or validating (``"val"``)."""

    def report(self, stage: str) -> None:
        """Log what was noted since the last report."""

    @property
    def model_config(self) -> dict[str, int]:
        """Arguments of :func:`linegraph.build_model`."""
        return self.recipe.model_config

    def forward(self, part: Part) -> Tensor:
        out: Tensor = self.model(part)
        return out

    def training_step(self, batch: list[Part], batch_idx: int) -> None:
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        records = records_in_step(sum(len(part["target"]) for part in batch))
        # What is drawn at random (dropout, displacements) then depends on the step alone: a run
        # that is resumed draws what it would have drawn. Processes draw for records of their own.
        step = self.recipe.seed * 1_000_003 + self.global_step
        torch.manual_seed(step + (here().rank << 50))
        optimizer.zero_grad()
        losses, said = [], []
        for part in batch:
            if self.recipe.jitter > 0:
                displace_atoms(part, self.recipe.jitter)
            out = self(part)
            if not len(part["target"]):
                # No share in this part, but in the statistics and gradients of the others' rows.
                self.manual_backward(out[:0].sum())
                continue
            loss = self.loss_of(out, part) / records
            self.manual_backward(loss)
            losses.append(loss.detach())
            said.append((part["position"], part["target"], out.detach()))
            self.train_loss.update(loss.detach() * records / len(out), len(out))
            self.note("train", out.detach(), part)
        self.log("loss", self.train_loss, on_step=False, on_epoch=True)
        add_gradients(list(self.parameters()))
        self._check_finite(batch_idx, losses, said)
        if self.recipe.clip is not None:
            self.clip_gradients(optimizer.optimizer, self.recipe.clip, "norm")
        optimizer.step()
        schedule = self.lr_schedulers()
        if schedule is not None:
            assert not isinstance(schedule, list)
            schedule.step()
        # Not in the hook at the end of an epoch, which comes after that of the callbacks.
        if self.trainer.is_last_batch:
            self.report("train")

    def _check_finite(
        self, step: int, losses: list[Tensor], said: list[tuple[Tensor, Tensor, Tensor]]
    ) -> None:
        """Stop before the weights take up what is not finite; all processes at once."""
        loss = torch.stack(losses).sum() if losses else torch.zeros(())
        what = what_is_not_finite(loss, self.parameters())
        if total(int(bool(what)))[0]:
            mine = what, [row for one in said for row in said_of(*one)]
            every = gathered(mine)
            what = next(what for what, _ in every if what)
            rows = [row for _, rows in every for row in rows]
            raise NotFinite(what, self.current_epoch + 1, step + 1, rows)

    def validation_step(self, batch: list[Part], batch_idx: int) -> None:
        records_in_step(0)
        for part in batch:
            if len(part["target"]):
                self.note("val", self(part), part)

    def on_validation_epoch_end(self) -> None:
        self.report("val")

    def configure_optimizers(self) -> Any:
        groups: dict[tuple[float, bool], list[nn.Parameter]] = {(1.0, True): [], (1.0, False): []}
        for name, parameter in self.named_parameters():
            # What a task learns besides its model is in no part of the model.
            of_model = name.startswith("model.")
            name = name.removeprefix("model.")
            factor = learning_rate_factor(name, self.recipe) if of_model else 1.0
            # Biases and the scales of norms are the one-dimensional ones.
            groups.setdefault((factor, parameter.ndim > 1), []).append(parameter)
        groups = {key: members for key, members in groups.items() if members}
        rates = [self.recipe.lr * factor for factor, _ in groups]
        optimizer = torch.optim.AdamW(
            [
                {
                    "params": members,
                    "weight_decay": self.recipe.weight_decay if decayed else 0.0,
                    "lr": self.recipe.lr * factor,
                }
                for (factor, decayed), members in groups.items()
            ],
            lr=self.recipe.lr,
        )
        if self.recipe.schedule == "constant":
            return optimizer
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=rates,
            total_steps=self.steps,
            pct_start=self.recipe.warmup,
        )
        return {"optimizer": optimizer, "lr_scheduler": schedule}


class BarrierTask(Task):
    """Fit a model to migration barriers: ``[B]`` outputs in eV.

    Of a model that says several while it learns, ``[B, K]``, each learns by itself, and what is
    reported is their mean.
    """

    unit = "eV"

    def __init__(self, model: nn.Module, recipe: Recipe, steps: int) -> None:
        super().__init__(model, recipe, steps)
        self.criterion = LOSSES[recipe.loss]
        self.train_mae, self.val_mae = MeanAbsoluteError(), MeanAbsoluteError()

    def loss_of(self, out: Tensor, part: Part) -> Tensor:
        every = out.view(len(out), -1)
        target = part["target"][:, None].expand_as(every)
        loss: Tensor = self.criterion(every, target, HUBER_DELTA)
        return loss.mean(1).sum()

    def note(self, stage: str, out: Tensor, part: Part) -> None:
        self._metric(stage).update(out.view(len(out), -1).mean(1), part["target"])

    def report(self, stage: str) -> None:
        self.log(f"{stage}_mae", self._metric(stage), on_step=False, on_epoch=True)

    def _metric(self, stage: str) -> MeanAbsoluteError:
        return self.train_mae if stage == "train" else self.val_mae


def displace_atoms(part: Part, width: float) -> None:
    """Move every atom of the part's graphs at random; bonds stay, their vectors follow.

    Args:
        part: changed in place.
        width: standard deviation of the displacement along each axis, Å.
    """
    for graph in part.values():
        if not hasattr(graph, "edge_vec"):
            continue
        shift = width * torch.randn_like(graph.pos)
        source, target = graph.edge_index
        graph.pos = graph.pos + shift
        graph.edge_vec = graph.edge_vec + shift[target] - shift[source]


def center_output(model: Model, targets: list[float]) -> None:
    """Let a model with a head start at the median target instead of near zero."""
    model.center(float(torch.tensor(targets).median()))
