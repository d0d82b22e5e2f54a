from __future__ import annotations

import csv
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from linegraph import InputError
from tests.bands import TINY, some_bands
from training.batches import Part
from training.finite import NOT_FINITE, what_is_not_finite
from training.fit import Machine, barrier_task, fit
from training.graphs import GraphSet, build_graphs
from training.recipe import Recipe
from training.splits import Split
from training.task import BarrierTask, Task
from training.transfer import Start

QUIET = Machine("cpu", workers=0, progress=False)
RECIPE = Recipe(summary="").changed({**TINY, "epochs": 4, "shuffle": True})
SPLIT = Split(train=[0, 1, 2, 3, 4, 5, 6, 7], val=[8, 9], test=[10, 11])
BANDS = some_bands()
NAMES = [band.name for band in BANDS]
TARGETS = [band.target for band in BANDS]

#: In which epoch (from 0), and with which record, it goes wrong.
EPOCH, RECORD = 2, 5


@pytest.fixture(scope="module")
def graphs() -> GraphSet:
    return build_graphs(BANDS, ("band",), RECIPE.graph_settings)


class Poisoned(BarrierTask):
    """Goes wrong once, in the way ``kind`` says."""

    kind = ""

    def forward(self, part: Part) -> Tensor:
        out = super().forward(part)
        if self.kind == "output" and self._is_it(part):
            out = torch.where(part["position"] == RECORD, out / 0, out)
        return out

    def loss_of(self, out: Tensor, part: Part) -> Tensor:
        loss = super().loss_of(out, part)
        if self._is_it(part):
            if self.kind == "nan":
                loss = loss * float("nan")
            elif self.kind == "inf":
                # Of a constant: the gradient stays as it is.
                loss = loss + float("inf")
            elif self.kind == "gradient":
                loss = loss + (out.sum() * 0).sqrt()
        return loss

    def _is_it(self, part: Part) -> bool:
        return self.training and self.current_epoch == EPOCH and RECORD in part["position"]


def task_of(kind: str, steps: int, start: Start | None = None) -> Task:
    task = barrier_task(RECIPE, torch.tensor(TARGETS), start, steps)
    poisoned = Poisoned(task.model, RECIPE, steps)
    poisoned.kind = kind
    return poisoned


@pytest.mark.parametrize(
    ("kind", "what"),
    [("nan", "loss"), ("inf", "loss"), ("gradient", "gradient"), ("output", "loss")],
)
def test_it_stops_and_leaves_the_records(
    kind: str, what: str, tmp_path: Path, graphs: GraphSet
) -> None:
    with pytest.raises(InputError) as caught:
        fit(
            tmp_path,
            RECIPE,
            graphs,
            TARGETS,
            SPLIT,
            QUIET,
            names=NAMES,
            make=partial(task_of, kind),
        )
    assert f"the {what} is NaN or infinite in epoch {EPOCH + 1}, step " in str(caught.value)
    assert str(tmp_path / NOT_FINITE) in str(caught.value)
    with (tmp_path / NOT_FINITE).open(newline="") as stream:
        rows = {row["sys_name"]: row for row in csv.DictReader(stream)}
    assert len(rows) == RECIPE.batch_size == 3
    assert NAMES[RECORD] in rows
    for name, row in rows.items():
        assert float(row["target"]) == pytest.approx(TARGETS[NAMES.index(name)])
        wrong = kind == "output" and name == NAMES[RECORD]
        assert row["finite"] == str(not wrong)
        assert torch.tensor(float(row["output"])).isfinite() == (not wrong)
    assert not (tmp_path / "model.safetensors").exists()


def test_what_is_kept_is_as_good_as_ever(tmp_path: Path, graphs: GraphSet) -> None:
    """Gone on with from there, without what went wrong: the bytes of a run that met nothing."""
    run = partial(fit, recipe=RECIPE, graphs=graphs, targets=TARGETS, split=SPLIT, machine=QUIET)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    run(tmp_path / "a", make=partial(task_of, ""))
    with pytest.raises(InputError, match="gradient is NaN"):
        run(tmp_path / "b", make=partial(task_of, "gradient"))
    # Without names it says positions.
    assert f"\n{RECORD}," in (tmp_path / "b" / NOT_FINITE).read_text()
    run(tmp_path / "b", make=partial(task_of, ""), resume=True)
    ours, theirs = (tmp_path / name / "model.safetensors" for name in "ab")
    assert ours.read_bytes() == theirs.read_bytes()


def test_large_is_not_infinite() -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    weight.grad = torch.full((3,), 1e18)
    assert what_is_not_finite(torch.tensor(1e30), [weight]) == ""
    weight.grad[1] = float("inf")
    assert what_is_not_finite(torch.tensor(1e30), [weight]) == "gradient"
    assert what_is_not_finite(torch.tensor(float("nan")), [weight]) == "loss"
    assert what_is_not_finite(torch.tensor(1.0), []) == ""
