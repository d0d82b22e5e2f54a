"""The training step: loss, optimiser, schedule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MeanAbsoluteError, MeanMetric

from .batches import Part
from .recipe import Recipe

#: Where the huber loss turns linear, eV: about the error a good model makes.
HUBER_DELTA = 0.25

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": lambda out, target: F.l1_loss(out, target, reduction="sum"),
    "mse": lambda out, target: F.mse_loss(out, target, reduction="sum"),
    "huber": lambda out, target: F.huber_loss(out, target, delta=HUBER_DELTA, reduction="sum"),
}


class BarrierTask(L.LightningModule):
    """Fit a model to migration barriers.

    A batch is a list of parts that fit the memory; gradients of the parts add up to the gradient
    of the mean loss over the whole batch.

    Args:
        model: maps graphs by view to ``[B]`` barriers in eV.
        recipe: loss, optimiser and schedule.
        steps: optimiser steps of the whole run, for the schedule.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, steps: int) -> None:
        super().__init__()
        self.model = model
        self.recipe = recipe
        self.steps = steps
        self.loss = LOSSES[recipe.loss]
        # One batch may take several passes, whose number only the batch knows.
        self.automatic_optimization = False
        self.train_loss, self.train_mae, self.val_mae = (
            MeanMetric(),
            MeanAbsoluteError(),
            MeanAbsoluteError(),
        )

    def forward(self, part: Part) -> Tensor:
        out: Tensor = self.model(part)
        return out

    def training_step(self, batch: list[Part], batch_idx: int) -> None:
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        records = sum(len(part["target"]) for part in batch)
        # What is drawn at random (dropout, displacements) then depends on the step alone: a run
        # that is resumed draws what it would have drawn.
        torch.manual_seed(self.recipe.seed * 1_000_003 + self.global_step)
        optimizer.zero_grad()
        for part in batch:
            if self.recipe.jitter > 0:
                displace_atoms(part, self.recipe.jitter)
            out = self(part)
            loss = self.loss(out, part["target"]) / records
            self.manual_backward(loss)
            self.train_loss.update(loss.detach() * records / len(out), len(out))
            self.train_mae.update(out.detach(), part["target"])
        self.log("loss", self.train_loss, on_step=False, on_epoch=True)
        self.log("train_mae", self.train_mae, on_step=False, on_epoch=True)
        if self.recipe.clip is not None:
            self.clip_gradients(optimizer.optimizer, self.recipe.clip, "norm")
        optimizer.step()
        schedule = self.lr_schedulers()
        if schedule is not None:
            assert not isinstance(schedule, list)
            schedule.step()

    def validation_step(self, batch: list[Part], batch_idx: int) -> None:
        for part in batch:
            self.val_mae.update(self(part), part["target"])

    def on_validation_epoch_end(self) -> None:
        self.log("val_mae", self.val_mae)

    def configure_optimizers(self) -> Any:
        decayed: list[nn.Parameter] = []
        plain: list[nn.Parameter] = []
        for parameter in self.model.parameters():
            # Biases and the scales of norms are the one-dimensional ones.
            (decayed if parameter.ndim > 1 else plain).append(parameter)
        optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": self.recipe.weight_decay},
                {"params": plain, "weight_decay": 0.0},
            ],
            lr=self.recipe.lr,
        )
        if self.recipe.schedule == "constant":
            return optimizer
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=self.recipe.lr,
            total_steps=self.steps,
            pct_start=self.recipe.warmup,
        )
        return {"optimizer": optimizer, "lr_scheduler": schedule}


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


def center_output(model: Any, targets: list[float]) -> None:
    """Let a model with a head start at the median target instead of near zero."""
    with torch.no_grad():
        model.head.output.bias.fill_(float(torch.tensor(targets).median()))
