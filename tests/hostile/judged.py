"""Run folders that are evaluated, and reported on, by the whole command: cases."""

from __future__ import annotations

import csv
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from shutil import copytree
from tempfile import mkdtemp

import numpy as np

from tests.bands import data_file
from tests.judged_runs import pretend
from tests.tuning import QUIET, weights
from training.judging.report import report
from training.train import evaluate

from .case import Reader
from .odd import at, odd_files
from .recipes import damage_file
from .runs import original_run


@cache
def _trained() -> Path:
    """A run folder with weights, beside the file of the bands to predict."""
    folder = Path(mkdtemp())
    data_file(folder / "bands.json", count=2)
    (folder / "run").mkdir()
    weights(folder / "run" / "model.safetensors", "MODEL-3")
    return folder / "run"


@cache
def _wanted() -> np.ndarray:
    return _evaluated(_trained(), Path(mkdtemp()) / "out")


def _evaluated(run: Path, out: Path) -> np.ndarray:
    evaluate(run, _trained().parent / "bands.json", out, machine=QUIET)
    with (out / "predictions.csv").open(encoding="utf-8", newline="") as stream:
        return np.array([float(row["prediction_eV"]) for row in csv.DictReader(stream)])


def _copy_of(run: Callable[[], Path], *names: str) -> Callable[[Path, Random], Path]:
    def make(folder: Path, random: Random) -> Path:
        copytree(run(), folder / "run")
        damage_file(folder / "run" / random.choice(names), random)
        return folder / "run"

    return make


def _untouched(run: Callable[[], Path]) -> dict[str, Callable[[Path], Path]]:
    return {"untouched": lambda folder: Path(copytree(run(), folder / "run"))}


def _evaluate(path: Path) -> None:
    np.testing.assert_array_equal(_evaluated(path, path.parent / "out"), _wanted())


@cache
def _other() -> Path:
    """Another model of the same data, which is not damaged."""
    data = original_run().parent / "data.json"
    return pretend(Path(mkdtemp()) / "other", data, noise=0.3)


def _report(path: Path) -> None:
    page = report(path.parent / "out", [("", path), ("", _other())], resamples=2)
    assert page.read_text("utf-8").rstrip().endswith("</html>")


READERS = (
    Reader("run to evaluate", "files", _copy_of(_trained, "model.safetensors"), _evaluate,
           _untouched(_trained) | at("run", odd_files("model.safetensors")), 0.4),
    Reader("run on a page", "files",
           _copy_of(original_run, "config.yaml", "metrics.json", "predictions.csv"), _report,
           _untouched(original_run), 0.3),
)  # fmt: skip
