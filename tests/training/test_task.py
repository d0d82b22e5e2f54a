from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn

import linegraph
from tests.bands import some_bands
from training.batches import EpochBatches, Part, collate, loader
from training.graphs import GraphSet, build_graphs
from training.recipe import CHOICES, Recipe, load_recipe
from training.task import HUBER_DELTA, LOSSES, BarrierTask, Task, center_output, displace_atoms

RECIPE = Recipe(
    summary="", hidden=8, alignn_layers=1, conv_layers=1, embedding=8, head=8, batch_size=5
)
TARGETS = [0.3 * i - 0.4 for i in range(12)]


class Sums(nn.Module):
    """A barrier from the atoms of a record alone, without any statistics of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.SiLU(), nn.Linear(4, 1))

    def forward(self, part: Part) -> Tensor:
        batch = part["band"]
        z = batch["z"].double() / 10
        moments = torch.stack([z, z**2, torch.ones_like(z)], dim=1)
        sums = torch.zeros(batch.num_graphs, 3, dtype=z.dtype).index_add(0, batch.batch, moments)
        out: Tensor = self.layers(sums / 20).squeeze(-1)
        return out


@pytest.fixture(scope="module")
def graphs() -> GraphSet:
    bands = some_bands(12, per_system=1)
    # Records of different sizes, so that parts are of different sizes, too.
    return build_graphs(bands, ("band",), RECIPE.graph_settings)


class Gradients(L.Callback):
    """The gradients that the optimiser is given at each step."""

    def __init__(self) -> None:
        self.found: list[list[Tensor]] = []

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.found.append([p.grad.clone() for p in pl_module.model.parameters()])


def fit_once(
    task: Task, graphs: GraphSet, batches: EpochBatches, callbacks: Sequence[L.Callback]
) -> None:
    """One epoch."""
    trainer = L.Trainer(
        max_epochs=1, callbacks=list(callbacks), logger=False, accelerator="cpu",
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(task, loader(graphs, TARGETS, batches))


def train(
    model: nn.Module,
    recipe: Recipe,
    graphs: GraphSet,
    budget: int,
    callbacks: Sequence[L.Callback] = (),
) -> None:
    batches = EpochBatches(range(12), graphs.triplets, recipe.batch_size, budget, shuffle=True)
    fit_once(BarrierTask(model, recipe, steps=len(batches)), graphs, batches, callbacks)


@pytest.fixture
def double() -> Iterator[None]:
    """Targets in double precision, too."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("double")
@pytest.mark.filterwarnings("ignore:.*num_workers.*", "ignore:.*many workers.*")
@pytest.mark.filterwarnings("ignore:.*val_dataloader.*", "ignore:.*LeafSpec.*")
@pytest.mark.parametrize("loss", ["l1", "huber", "mse"])
@pytest.mark.parametrize("clip", [None, 1e-3])
def test_parts_add_up_to_the_batch(loss: str, clip: float | None, graphs: GraphSet) -> None:
    recipe = RECIPE.changed({"loss": loss, "clip": clip})
    found = []
    weights = []
    for budget in (10**9, max(graphs.triplets), 1):
        torch.manual_seed(0)
        model = Sums().double()
        gradients = Gradients()
        train(model, recipe, graphs, budget, [gradients])
        found.append(gradients.found)
        weights.append([p.detach().clone() for p in model.parameters()])
    assert len(found[0]) == 3
    for parts, ours in zip(found[1:], weights[1:], strict=True):
        for step, whole in zip(parts, found[0], strict=True):
            for gradient, expected in zip(step, whole, strict=True):
                torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-12)
        for weight, expected in zip(ours, weights[0], strict=True):
            torch.testing.assert_close(weight, expected, rtol=1e-8, atol=1e-10)
    norms = [torch.stack([g.norm() for g in step]).norm() for step in found[0]]
    if clip is not None:
        torch.testing.assert_close(torch.stack(norms), torch.full((3,), 1e-3).double())
    assert all(norm > 1e-5 for norm in norms)


@pytest.mark.parametrize("loss", ["l1", "huber", "mse"])
def test_gradient_is_that_of_the_mean_loss(loss: str, graphs: GraphSet) -> None:
    torch.manual_seed(0)
    model = Sums().double()
    part = next(iter(loader(graphs, TARGETS, EpochBatches(range(5), graphs.triplets, 5, 10**9))))[0]
    error = model(part) - part["target"]
    expected = {
        "l1": error.abs(),
        "mse": error**2,
        "huber": torch.where(
            error.abs() < HUBER_DELTA,
            error**2 / 2,
            HUBER_DELTA * (error.abs() - HUBER_DELTA / 2),
        ),
    }[loss]
    # Of every record by itself.
    found = LOSSES[loss](model(part), part["target"].double(), HUBER_DELTA)
    torch.testing.assert_close(found, expected)
    task = BarrierTask(model, RECIPE.changed({"loss": loss}), steps=1)
    torch.testing.assert_close(task.loss_of(model(part), part) / 5, expected.mean())


@pytest.mark.parametrize("delta", [0.1, 1.0])
def test_where_huber_turns_linear(delta: float) -> None:
    error = torch.tensor([-3.0, -0.5, -0.05, 0.0, 0.05, 0.5, 3.0])
    found = LOSSES["huber"](error, torch.zeros(7), delta)
    linear = delta * (error.abs() - delta / 2)
    torch.testing.assert_close(found, torch.where(error.abs() < delta, error**2 / 2, linear))
    for loss in ("l1", "mse"):
        first, second = (LOSSES[loss](error, torch.zeros(7), value) for value in (delta, 9.0))
        assert torch.equal(first, second)


def test_loss_of_roots() -> None:
    """Quadratic up to 0.2 of the root, in widths of 0.4; also where a barrier is negative."""
    out = torch.tensor([0.25, 4.0, -0.25, 1.0, 0.0], requires_grad=True)
    target = torch.tensor([0.36, 1.0, 0.25, 1.0, 0.0])
    found = LOSSES["root"](out, target, HUBER_DELTA)
    expected = torch.tensor([0.0625, 2.25, 2.25, 0.0, 0.0])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    (slope,) = torch.autograd.grad(found.sum(), out)
    assert slope.isfinite().all()


def test_loss_of_roots_and_energies() -> None:
    """Half the error of the root in widths of 0.4, and half that of the barrier in those of 0.5."""
    out = torch.tensor([0.25, 4.0, -0.25, 1.0, 0.0], requires_grad=True)
    target = torch.tensor([0.36, 1.0, 0.25, 1.0, 0.0])
    found = LOSSES["mixed"](out, target, HUBER_DELTA)
    roots = torch.tensor([0.1, 1.0, 1.0, 0.0, 0.0]) / 0.4
    energies = torch.tensor([0.11, 3.0, 0.5, 0.0, 0.0]) / 0.5
    torch.testing.assert_close(found, (roots + energies) / 2, rtol=0, atol=1e-4)
    (slope,) = torch.autograd.grad(found.sum(), out)
    assert slope.isfinite().all()


def test_losses_are_those_of_the_recipes() -> None:
    assert set(LOSSES) == set(CHOICES["loss"])


class Products(Task):
    """Any other loss: targets times outputs; notes what it is told."""

    def __init__(self, model: nn.Module, recipe: Recipe, steps: int) -> None:
        super().__init__(model, recipe, steps)
        self.told: list[tuple[str, str, int]] = []

    def loss_of(self, out: Tensor, part: Part) -> Tensor:
        loss: Tensor = (out * part["target"]).sum()
        return loss

    def note(self, stage: str, out: Tensor, part: Part) -> None:
        assert not out.requires_grad
        self.told.append(("note", stage, len(out)))

    def report(self, stage: str) -> None:
        self.told.append(("report", stage, 0))


@pytest.mark.filterwarnings("ignore:.*many workers.*", "ignore:.*val_dataloader.*")
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*")
def test_loop_of_another_task(graphs: GraphSet) -> None:
    """The loss it is given is the one minimised; outputs are told part by part."""
    recipe = RECIPE.changed({"batch_size": 12, "schedule": "constant"})
    model = Sums().double()
    one = EpochBatches(range(12), graphs.triplets, 12, 10**9)
    [part] = next(iter(loader(graphs, TARGETS, one)))
    expected = torch.autograd.grad(
        (model(part) * part["target"]).sum() / 12, list(model.parameters())
    )
    for budget, passes in ((10**9, 1), (1, 12)):
        gradients = Gradients()
        batches = EpochBatches(range(12), graphs.triplets, 12, budget)
        task = Products(model, recipe.changed({"lr": 1e-12}), steps=1)
        fit_once(task, graphs, batches, [gradients])
        for found, gradient in zip(gradients.found[0], expected, strict=True):
            torch.testing.assert_close(found, gradient)
        assert task.told == [("note", "train", 12 // passes)] * passes + [("report", "train", 0)]


def test_a_task_has_to_say_its_loss(graphs: GraphSet) -> None:
    part = collate(graphs, TARGETS, range(2))
    with pytest.raises(AssertionError):
        Task(Sums().double(), RECIPE, steps=1).loss_of(torch.zeros(2), part)


@pytest.mark.filterwarnings("ignore:.*many workers.*", "ignore:.*val_dataloader.*")
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*")
def test_logged_loss_is_the_mean_over_records(graphs: GraphSet) -> None:
    """However the epoch is parted; the last batch, smaller than the others, counts for less."""

    class Seen(L.Callback):
        def __init__(self) -> None:
            self.logged: dict[str, float] = {}

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            self.logged = {k: float(v) for k, v in trainer.callback_metrics.items()}

    recipe = RECIPE.changed({"lr": 1e-12, "schedule": "constant", "loss": "mse"})
    torch.manual_seed(0)
    model = Sums().double()
    batches = EpochBatches(range(12), graphs.triplets, 12, 10**9)
    whole = next(iter(loader(graphs, TARGETS, batches)))[0]
    error = (model(whole) - whole["target"]).detach()
    for budget in (10**9, 1):
        seen = Seen()
        train(model, recipe, graphs, budget, [seen])
        assert seen.logged["loss"] == pytest.approx(float((error**2).mean()), rel=1e-5)
        assert seen.logged["train_mae"] == pytest.approx(float(error.abs().mean()), rel=1e-5)


def optimizer_of(task: BarrierTask) -> tuple[torch.optim.Optimizer, Any]:
    found = task.configure_optimizers()
    if isinstance(found, dict):
        return found["optimizer"], found["lr_scheduler"]
    return found, None


def test_no_decay_of_biases_and_norms() -> None:
    model = linegraph.build_model(RECIPE.model, **RECIPE.model_config)
    recipe = RECIPE.changed({"weight_decay": 0.1})
    optimizer, _ = optimizer_of(BarrierTask(model, recipe, steps=10))
    decay = {
        id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]
    }
    norms = {
        f"{name}.{parameter}"
        for name, module in model.named_modules()
        if isinstance(module, nn.BatchNorm1d | nn.LayerNorm)
        for parameter, _ in module.named_parameters(recurse=False)
    }
    assert norms
    for name, parameter in model.named_parameters():
        plain = name.endswith("bias") or name in norms
        assert decay[id(parameter)] == (0.0 if plain else 0.1), name
    assert len(decay) == len(list(model.parameters()))


@pytest.mark.parametrize("name", ["model-3-paper", "small"])
def test_one_cycle_peaks_where_it_should(name: str) -> None:
    recipe = load_recipe(name).changed({"hidden": 4})
    model = Sums()
    optimizer, schedule = optimizer_of(BarrierTask(model, recipe, steps=1000))
    rates = []
    for _ in range(1000):
        rates.append(optimizer.param_groups[0]["lr"])
        assert optimizer.param_groups[1]["lr"] == rates[-1]
        optimizer.step()
        schedule.step()
    peak = max(range(1000), key=rates.__getitem__)
    assert rates[peak] == pytest.approx(recipe.lr)
    assert abs(peak - 300) <= 1
    assert rates[0] == pytest.approx(recipe.lr / 25)
    assert rates[-1] < recipe.lr / 1000


def test_paper_settings_reach_the_optimizer() -> None:
    optimizer, _ = optimizer_of(BarrierTask(Sums(), load_recipe("model-3-paper"), steps=100))
    assert isinstance(optimizer, torch.optim.AdamW)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [1e-5, 0.0]
    assert [group["max_lr"] for group in optimizer.param_groups] == [1e-3, 1e-3]


def test_constant_schedule() -> None:
    recipe = RECIPE.changed({"schedule": "constant", "lr": 0.25})
    optimizer, schedule = optimizer_of(BarrierTask(Sums(), recipe, steps=10))
    assert schedule is None
    assert all(group["lr"] == 0.25 for group in optimizer.param_groups)


@pytest.mark.parametrize("name", [name for name in linegraph.models() if name != "MPT"])
def test_output_starts_at_the_median(name: str) -> None:
    model = linegraph.build_model(name, **RECIPE.changed({"model": name}).model_config)
    center_output(model, [0.1, 0.5, 9.0])
    head: Any = model.head
    # What the head of BAND-1 says is squared.
    said = head.output.bias.square() if name == "BAND-1" else head.output.bias
    torch.testing.assert_close(said, torch.tensor([0.5]))


def test_displaced_atoms_take_their_bonds_along(graphs: GraphSet) -> None:
    part = collate(graphs, [0.5] * len(graphs.graphs), range(4))
    before = part["band"].clone()
    torch.manual_seed(0)
    displace_atoms(part, 0.05)
    after = part["band"]
    moved = after.pos - before.pos
    assert 0.04 < float(moved.std()) < 0.06
    source, target = before.edge_index
    expected = before.edge_vec + moved[target] - moved[source]
    torch.testing.assert_close(after.edge_vec, expected)
    # A bond of an atom to its own image keeps its length: both ends move together.
    assert torch.equal(after.edge_index, before.edge_index)


def test_displacements_are_made_in_training_only(graphs: GraphSet) -> None:
    task = BarrierTask(Sums().double(), RECIPE.changed({"jitter": 0.1}), steps=1)
    part = collate(graphs, [0.5] * len(graphs.graphs), range(4))
    before = part["band"].edge_vec.clone()
    task.validation_step([part], 0)
    assert torch.equal(part["band"].edge_vec, before)
