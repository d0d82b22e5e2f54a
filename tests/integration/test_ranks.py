"""Two processes that ``torchrun`` starts give what one gives, and end together."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.bands import settings
from tests.integration import ranks_job
from tests.integration.command import ROOT, linegraph
from training.callbacks import read_history

#: Files that nobody who is not the first may write, and that the first writes as one process does.
FILES = {"config.yaml", "history.csv", "metrics.json", "model.safetensors", "parity.png"}
FILES |= {"predictions.csv", "checkpoints/last.ckpt", "checkpoints/best.ckpt"}
WORDS = settings(epochs=6, lr=0.01)

#: Cases for every day.
QUICK = ["parts", "alone", "folds", "BAND-1", "count"]


def torchrun(*words: object, **environment: str) -> subprocess.Popen[str]:
    """Start two processes of a script on one machine."""
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.Popen(
        [sys.executable, *launch, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100", **environment},
    )


def ended(process: subprocess.Popen[str], *, well: bool = True) -> tuple[str, str]:
    """What it printed; torchrun's own account of a failure is left out of the second."""
    try:
        out, err = process.communicate(timeout=150)
    finally:
        process.kill()
    assert (process.returncode == 0) == well, err
    own = err.partition("Traceback")[0].splitlines()
    return out, "\n".join(line for line in own if "torch/distributed/" not in line)


def numbers(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """All numbers of a JSON file, by name."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from numbers(part, f"{name}/{key}")
    elif isinstance(value, int | float):
        yield name, float(value)


def metrics(run: Path) -> dict[str, float]:
    return dict(numbers(json.loads((run / "metrics.json").read_text())))


def history(run: Path) -> list[dict[str, Any]]:
    rows = read_history(run / "history.csv")
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


def predictions(run: Path) -> list[float]:
    with (run / "predictions.csv").open(encoding="utf-8", newline="") as stream:
        return [float(row["prediction_eV"]) for row in csv.DictReader(stream)]


def assert_same(run: Path, other: Path, tolerance: float) -> None:
    """Weights, and all that is made of them."""
    for file in sorted(other.rglob("model.safetensors")):
        theirs, ours = load_file(file), load_file(run / file.relative_to(other))
        for name, tensor in theirs.items():
            torch.testing.assert_close(
                ours[name], tensor, rtol=tolerance, atol=tolerance, msg=f"{file}: {name}"
            )
    for file in sorted(other.rglob("metrics.json")):
        here = run / file.parent.relative_to(other)
        assert metrics(here) == pytest.approx(metrics(file.parent), rel=1e-6, abs=1e-8)
    for file in sorted(other.rglob("history.csv")):
        rows = history(run / file.parent.relative_to(other))
        # Figures of an epoch are summed in single precision.
        for mine, its in zip(rows, history(file.parent), strict=True):
            known = {k: v for k, v in its.items() if v is not None}
            assert known == pytest.approx({k: mine[k] for k in known}, rel=1e-5, abs=1e-5)
            assert all(mine[k] is None for k in its if k not in known)


def compare(cases: list[str], tmp_path: Path, data: Path, crystals: Path) -> Path:
    """Train in two processes and in one; returns the folder of the two."""
    two = tmp_path / "two"
    two.mkdir()
    script = Path(ranks_job.__file__)
    process = torchrun(script, two, ",".join(cases), data, crystals)
    ranks_job.run(tmp_path / "one", cases, data, crystals)
    ended(process)
    for case in cases:
        assert_same(two / case, tmp_path / "one" / case, 1e-8)
    return two


def test_two_processes_train_as_one(tmp_path: Path, data: Path, crystals: Path) -> None:
    """Several passes a step, a process without records, folds, and most properties unknown."""
    two = compare(QUICK, tmp_path, data, crystals)
    found = [json.loads((two / f"{rank}.json").read_text()) for rank in range(2)]
    assert [one["count"] for one in found] == [2, 2]
    for one in found:
        # Graphs lie in one file, mapped by both; neither has pages of its own.
        assert one["graphs"]["shards"]
        if Path("/proc/self/smaps").is_file():
            assert one["graphs"]["Rss"] > 0
            assert one["graphs"]["Anonymous"] == one["graphs"]["Private_Dirty"] == 0


def test_the_command(tmp_path: Path, data: Path) -> None:
    """One prints and writes, files are those of one process, and the figures agree."""
    process = torchrun("cli.py", "train", "--data", data, "--out", tmp_path / "two", *WORDS)
    shown = linegraph("train", "--data", data, "--out", tmp_path / "one", *WORDS)
    out, err = ended(process)
    assert [line[:24] for line in out.split("\n") if line] == [
        line[:24] for line in shown.stdout.split("\n") if line
    ]
    assert out.count("run folder") == 1
    assert sum(line.startswith("Training epoch 6/6") for line in err.splitlines()) == 1
    written = {
        str(file.relative_to(tmp_path / "two"))
        for file in (tmp_path / "two").rglob("*")
        if file.is_file()
    }
    assert written == FILES
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one", "two"]
    assert predictions(tmp_path / "two") == pytest.approx(predictions(tmp_path / "one"), abs=1e-3)
    config = [(tmp_path / run / "config.yaml").read_bytes() for run in ("one", "two")]
    assert config[0] == config[1]


def test_bad_input_is_told_once(tmp_path: Path, data: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").touch()
    started = time.monotonic()
    process = torchrun("cli.py", "train", "--data", data, "--out", tmp_path / "run", *WORDS)
    out, err = ended(process, well=False)
    assert time.monotonic() - started < 100
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith(f"error: {tmp_path / 'run'}: run folder already exists")
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["mine"]


@pytest.mark.slow
def test_every_model_and_loss(tmp_path: Path, data: Path, crystals: Path) -> None:
    every = [*ranks_job.BANDS, *ranks_job.CRYSTALS]
    compare([case for case in every if case not in QUICK], tmp_path, data, crystals)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [["MODEL-4", "jitter=0.02"], ["MODEL-4", "precision=bf16-mixed"], ["MODEL-4", "batch_size=1"]],
)
def test_what_is_drawn_or_rounded_trains_all_the_same(
    words: list[str], tmp_path: Path, data: Path
) -> None:
    """Dropout and displacements are other draws there: a run is repeatable, with as many."""
    changes = [*WORDS, "--set", f"model={words[0]}", "--set", words[1]]
    for name in ("a", "b"):
        ended(torchrun("cli.py", "train", "--data", data, "--out", tmp_path / name, *changes))
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("a", "b")]
    assert weights[0] == weights[1]
    assert history(tmp_path / "a")[-1]["loss"] > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["predict", "bands"], "predict runs in one process: start it without torchrun"),
        (["train", "--data", "nowhere.json"], "nowhere.json: no such file"),
        (["train", "--recipe", "nope"], "no recipe 'nope'"),
        (["train", "--sprain"], "No such option '--sprain'"),
        (["train", "--device", "cuda:0"], "CUDA"),
        (["pretrain", "--data", "bands", "--recipe", "small"], "use train"),
    ],
)
def test_what_is_refused(words: list[str], problem: str, tmp_path: Path, data: Path) -> None:
    given = [str(data) if word == "bands" else word for word in words]
    where = [] if words[0] == "predict" else ["--out", str(tmp_path / "run")]
    out, err = ended(torchrun("cli.py", *given, *where), well=False)
    assert out == ""
    assert err.count(problem) == 1
    assert err.lower().count("error") == 1
    assert not (tmp_path / "run").exists()


#: The command line, with an accident in one process in epoch 2.
ACCIDENT = """
import os, signal, sys
from pathlib import Path
import training.task
from linegraph import InputError

step = training.task.Task.training_step

def accident(self, batch, index):
    if self.trainer.current_epoch == 2 and os.environ["RANK"] == os.environ["WHO"]:
        how = os.environ["HOW"]
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "input":
            raise InputError("gone", file="a.safetensors", record=3)
        if how == "fault":
            raise ZeroDivisionError("of no use")
        # Asked to stop by the queueing system, by way of torchrun.
        if not Path(os.environ["ASKED"]).exists():
            Path(os.environ["ASKED"]).touch()
            os.kill(os.getppid(), signal.Signals[how])
    return step(self, batch, index)

training.task.Task.training_step = accident
from cli import main
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("who", "how", "told"),
    [
        (0, "killed", None),
        (1, "killed", "--resume --out"),
        (0, "input", "error: a.safetensors, record 3: gone"),
        (1, "input", "error: a.safetensors, record 3: gone"),
        (1, "fault", "ZeroDivisionError: of no use"),
        (1, "SIGTERM", "--resume --out"),
        (0, "SIGINT", "--resume --out"),
    ],
)
def test_one_ends_all_and_the_run_goes_on(
    who: int, how: str, told: str | None, tmp_path: Path, data: Path
) -> None:
    """Whatever happens to one: all end soon, it is told once, and nothing is lost or left over."""
    (tmp_path / "accident.py").write_text(ACCIDENT)
    words = ["train", "--data", data, "--out", tmp_path / "run", *WORDS]
    environment = {"WHO": str(who), "HOW": how, "ASKED": str(tmp_path / "asked")}
    started = time.monotonic()
    process = torchrun(tmp_path / "accident.py", *words, **environment)
    _, err = ended(process, well=False)
    assert time.monotonic() - started < 120
    assert told is None or err.count(told) == 1, err
    assert len(history(tmp_path / "run")) == 2
    assert not list((tmp_path / "run").rglob(".partial*"))
    ended(torchrun("cli.py", *words, "--resume"))
    words[words.index(tmp_path / "run")] = tmp_path / "whole"
    ended(torchrun("cli.py", *words))
    for name in ("model.safetensors", "metrics.json", "predictions.csv"):
        whole = (tmp_path / "whole" / name).read_bytes()
        assert (tmp_path / "run" / name).read_bytes() == whole
    assert history(tmp_path / "run") == history(tmp_path / "whole")


def test_a_process_that_was_started_with_others_does_not_train_alone(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from linegraph import InputError
    from training.fit import Machine

    for name, value in (("TORCHELASTIC_RUN_ID", "x"), ("RANK", "1"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "1")
    with pytest.raises(InputError, match="joined"):
        Machine("cpu").trainer_arguments()
