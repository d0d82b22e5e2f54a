"""Losses and gradients of a pre-training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import lightning as L
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import linegraph
from linegraph.models import Model
from tests.property_tasks import RECIPE, Sums, known, task_of
from training.batches import EpochBatches, Part, collate, loader
from training.property_task import HUBER_DELTA

NAN = float("nan")


@pytest.fixture
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def mpt() -> Model:
    torch.manual_seed(0)
    model = linegraph.build_model("MPT", **RECIPE.model_config, properties=3)
    return model.to(torch.get_default_dtype())


def gradients(model: nn.Module, loss: Tensor) -> list[Tensor]:
    found = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    return [
        torch.zeros_like(p) if g is None else g
        for p, g in zip(model.parameters(), found, strict=True)
    ]


@pytest.mark.usefixtures("double")
def test_published_loss() -> None:
    """``L1Loss()(model(batch) * onehot, target * onehot)`` of records of one property each."""
    _, targets, graphs = known()
    positions = range(len(targets))
    single = torch.full_like(targets, NAN).double()
    for i in positions:
        column = targets[i].isfinite().nonzero().flatten()[-1]
        single[i, column] = targets[i, column]
    onehot = single.isfinite().double()
    assert onehot.sum(1).tolist() == [1.0] * len(targets)
    assert (onehot.sum(0) > 1).all()
    part = cast(Part, {**collate(graphs, single, positions), "target": single})
    part["crystal"].edge_vec = part["crystal"].edge_vec.double()
    model = mpt()
    theirs = nn.L1Loss()(model(part) * onehot, single.nan_to_num() * onehot)
    ours = task_of(model, targets=single).loss_of(model(part), part) / len(single)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)
    for mine, expected in zip(gradients(model, ours), gradients(model, theirs), strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("loss", ["l1", "mse", "huber"])
def test_values_of_one_crystal_add_up(loss: str) -> None:
    """By hand: two of three values known, one error on each side of where huber turns linear."""
    out = torch.tensor([[0.5, -0.2, 0.3]], requires_grad=True)
    part: Part = {"target": torch.tensor([[0.1, NAN, 0.35]])}
    errors = [0.4, -0.05]
    expected = {
        "l1": [abs(e) for e in errors],
        "mse": [e**2 for e in errors],
        "huber": [HUBER_DELTA * (0.4 - HUBER_DELTA / 2), 0.05**2 / 2],
    }[loss]
    total = task_of(Sums(), loss=loss).loss_of(out, part)
    assert float(total.detach()) == pytest.approx(sum(expected) / 3, rel=1e-5)


def test_count_balance_is_the_mean_over_properties() -> None:
    """On all training crystals at once; of some, two or three properties are known."""
    _, targets, graphs = known()
    assert targets.isfinite().sum() > len(targets)
    model = Sums()
    part = collate(graphs, targets, range(len(targets)))
    out = model(part)
    loss = task_of(model, balance="count").loss_of(out, part) / len(targets)
    means = [
        (out[there, p] - targets[there, p]).abs().mean()
        for p in range(3)
        for there in [targets[:, p].isfinite()]
    ]
    torch.testing.assert_close(loss, torch.stack(means).mean())


def test_learned_widths_by_hand() -> None:
    task = task_of(Sums(), balance="uncertainty")
    assert task.log_width is not None
    assert task.log_width.tolist() == [0.0] * 3
    with torch.no_grad():
        task.log_width.copy_(torch.tensor([0.5, -1.0, 2.0]))
    out = torch.tensor([[0.5, -0.2, 9.0], [0.0, 0.7, 9.0]], requires_grad=True)
    part: Part = {"target": torch.tensor([[0.1, NAN, NAN], [-0.3, 0.1, NAN]])}
    total = task.loss_of(out, part)
    widths = np.exp([0.5, -1.0])
    expected = (0.4 + 0.3) / widths[0] + 0.6 / widths[1] + 2 * 0.5 - 1.0
    assert float(total.detach()) == pytest.approx(expected, rel=1e-6)
    total.backward()
    assert task.log_width.grad is not None
    slopes = [2 - 0.7 / widths[0], 1 - 0.6 / widths[1], 0.0]
    assert task.log_width.grad.tolist() == pytest.approx(slopes, rel=1e-5)
    assert out.grad is not None
    signs = [[1 / widths[0], 0, 0], [1 / widths[0], 1 / widths[1], 0]]
    np.testing.assert_allclose(out.grad.numpy(), signs, rtol=1e-6)


@pytest.mark.parametrize("balance", ["none", "count", "uncertainty"])
@pytest.mark.parametrize("loss", ["l1", "mse", "huber"])
def test_unknown_values_reach_no_gradient(loss: str, balance: str) -> None:
    _, targets, graphs = known()
    absent = targets.clone()
    absent[:, 1] = NAN
    rows = absent.isfinite().any(1).nonzero().flatten().tolist()
    model = mpt()
    task = task_of(model, loss=loss, balance=balance)
    part = collate(graphs, absent, rows)
    task.loss_of(task(part), part).backward()
    heads = cast(Any, model).heads
    for name, parameter in task.named_parameters():
        if parameter.grad is not None:
            assert parameter.grad.isfinite().all(), name
    assert all(p.grad is None or not p.grad.any() for p in heads[1].parameters())
    for head in (heads[0], heads[2], cast(Any, model).trunk.atom_embedding):
        assert any(p.grad is not None and p.grad.any() for p in head.parameters())
    if task.log_width is not None:
        assert task.log_width.grad is not None
        assert (task.log_width.grad != 0).tolist() == [True, False, True]


class Gradients(L.Callback):
    """The gradients that the optimiser is given at each step."""

    def __init__(self) -> None:
        self.found: list[list[Tensor]] = []

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.found.append([p.grad.clone() for p in pl_module.parameters()])


@pytest.mark.usefixtures("double")
@pytest.mark.filterwarnings("ignore:.*num_workers.*", "ignore:.*many workers.*")
@pytest.mark.filterwarnings("ignore:.*val_dataloader.*", "ignore:.*LeafSpec.*")
@pytest.mark.parametrize("balance", ["count", "uncertainty"])
def test_parts_add_up_to_the_batch(balance: str) -> None:
    _, targets, graphs = known()
    runs: list[list[list[Tensor]]] = []
    for budget in (10**9, 2 * max(graphs.triplets), 1):
        torch.manual_seed(0)
        batches = EpochBatches(range(len(targets)), graphs.triplets, 10, budget, shuffle=True)
        task = task_of(Sums().double(), len(batches), balance=balance, clip=0.3, lr=0.1)
        seen = Gradients()
        trainer = L.Trainer(
            max_epochs=1, callbacks=[seen], logger=False, accelerator="cpu",
            enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
        )  # fmt: skip
        trainer.fit(task, loader(graphs, targets.double(), batches))
        runs.append([*seen.found, [p.detach().clone() for p in task.parameters()]])
    assert len(runs[0]) == 4
    for run in runs[1:]:
        for step, whole in zip(run, runs[0], strict=True):
            for mine, expected in zip(step, whole, strict=True):
                torch.testing.assert_close(mine, expected, rtol=1e-9, atol=1e-11)
    assert all(g.abs().max() > 1e-6 for step in runs[0] for g in step)


def test_widths_are_learned_without_decay_in_no_part() -> None:
    task = task_of(
        Sums(), balance="uncertainty", weight_decay=0.1, lr=0.5, lr_parts={"head": 0.1},
        schedule="constant",
    )  # fmt: skip
    optimizer = task.configure_optimizers()
    groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    assert len(groups) == len(list(task.parameters()))
    assert groups[id(task.log_width)]["weight_decay"] == 0.0
    assert groups[id(task.log_width)]["lr"] == 0.5
    assert {groups[id(p)]["lr"] for p in task.model.parameters()} == {0.05}
    assert "width_gap" in task.columns
    assert not any("width" in name for name in task_of(Sums()).columns)
