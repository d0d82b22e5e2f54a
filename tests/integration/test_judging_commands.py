"""The commands that judge, `baseline` and `report`, as a user runs them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import yaml
from click.testing import Result

import training.baselines.table
from tests.bands import some_bands
from tests.integration.command import linegraph
from tests.integration.test_cli import PNG, table
from tests.judged_runs import quoted, written
from tests.training.test_report_page import Page
from training.baselines.models import BASELINES, Baseline
from training.baselines.published import PUBLISHED_FEATURES
from training.data import compound_of, hop_length, ion_of
from training.protocols import Protocol
from training.records import write_bands
from training.starter import starter_bands
from training.stopping import INTERRUPTED

CALCULATOR = "tests.training.neb_calculators:WaveCalculator"
FORESTS = ("rfr", "path-trees")
FOLDS = ("--folds", 3)
#: Processes of their own would take longer to start than features to compute.
ALONE = ("--workers", 1)
MARKUP = "a <b>bold</b> & $x_1$ [red]forest[/red]"
STARTER = starter_bands()
TARGET = {band.name: float(band.target or 0.0) for band in STARTER}


def without_plots(*words: object, code: int = 0) -> Result:
    """A command that spends most of its time on plots, without them."""
    with patch("training.report.parity_plot"):
        return linegraph(*words, code=code)


def config(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((run / "config.yaml").read_text())
    return found


def said(run: Path, **where: str) -> dict[str, float]:
    """Predictions in eV by record, of the rows that hold these values."""
    rows = [r for r in table(run / "predictions.csv") if all(r[k] == v for k, v in where.items())]
    found = {row["sys_name"]: float(row["prediction_eV"]) for row in rows}
    assert len(found) == len(rows)
    return found


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Run folders of every baseline on the starter set, by its name."""
    pytest.importorskip("matminer", reason="optional: pip install 'linegraph[baselines]'")
    runs = tmp_path_factory.mktemp("baselines")
    for name in BASELINES:
        without_plots("baseline", name, *FOLDS, "--out", runs / name, *ALONE)
    return {name: runs / name for name in BASELINES}


def line_of_hops(known: list[int], asked: list[int]) -> list[float]:
    length = [hop_length(band) for band in STARTER]
    targets = [TARGET[STARTER[i].name] for i in known]
    line = np.polyfit([length[i] for i in known], targets, 1)
    return [float(np.polyval(line, length[i])) for i in asked]


def mean_of_class(known: list[int], asked: list[int]) -> list[float]:
    by_class = defaultdict(list)
    for i in known:
        by_class[STARTER[i].family].append(TARGET[STARTER[i].name])
    everything = [value for values in by_class.values() for value in values]
    return [float(np.mean(by_class.get(STARTER[i].family, everything))) for i in asked]


def mean_of_all(known: list[int], asked: list[int]) -> list[float]:
    return [float(np.mean([TARGET[STARTER[i].name] for i in known]))] * len(asked)


GUESSES: dict[str, Callable[[list[int], list[int]], list[float]]] = {
    "path-distance": line_of_hops,
    "class-mean": mean_of_class,
    "train-mean": mean_of_all,
}


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_by_three_folds(name: str, judged: dict[str, Path]) -> None:
    run = judged[name]
    rows = table(run / "predictions.csv")
    assert {row["sys_name"]: float(row["target_eV"]) for row in rows} == pytest.approx(TARGET)
    assert len(rows) == len(STARTER)
    folds = {row["sys_name"]: row["fold"] for row in rows}
    assert set(folds.values()) == {"1", "2", "3"}
    # No compound is on two sides.
    assert len({(compound_of(b), folds[b.name]) for b in STARTER}) == len(
        {compound_of(b) for b in STARTER}
    )
    assert all(bool(row["std_eV"]) == (name in FORESTS) for row in rows)
    metrics = json.loads((run / "metrics.json").read_text())
    errors = [float(row["prediction_eV"]) - float(row["target_eV"]) for row in rows]
    assert metrics["test"]["mae"] == pytest.approx(np.abs(errors).mean(), abs=1e-6)
    assert metrics["test"]["n"] == len(STARTER)
    assert set(metrics["trivial"]) == {"train mean", "class mean", "path distance"}
    assert config(run)["protocol"] == Protocol(folds=3).as_dict()
    assert config(run)["baseline"] == name
    assert {row["of"] for row in table(run / "features.csv")} == {"3"}
    assert table(run / "failures.csv") == []


@pytest.mark.parametrize("name", GUESSES)
def test_a_guess_is_what_it_is_called(name: str, judged: dict[str, Path]) -> None:
    folds = {row["sys_name"]: row["fold"] for row in table(judged[name] / "predictions.csv")}
    for fold in ("1", "2", "3"):
        held = [i for i, band in enumerate(STARTER) if folds[band.name] == fold]
        known = [i for i in range(len(STARTER)) if i not in held]
        names = [STARTER[i].name for i in held]
        expected = dict(zip(names, GUESSES[name](known, held), strict=True))
        # Features of a path are rounded to four decimals.
        assert said(judged[name], fold=fold) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", [*FORESTS, "gbr"])
def test_a_model_looks_at_structures(name: str, judged: dict[str, Path]) -> None:
    found = said(judged[name])
    assert len({round(value, 3) for value in found.values()}) > len(STARTER) / 2
    if name in FORESTS:
        # Means of what was learned.
        assert min(TARGET.values()) < min(found.values())
        assert max(found.values()) < max(TARGET.values())
    used = {row["feature"] for row in table(judged[name] / "features.csv")}
    assert used <= set(BASELINES[name].features)
    assert any(word.startswith("MagpieData") for word in used)


def test_what_the_command_says(tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["--split", "random", "--seed", 5, *ALONE]
    shown = linegraph("baseline", "path-distance", "--out", run, *words).stdout
    metrics = json.loads((run / "metrics.json").read_text())
    assert f"{metrics['test']['mae']:.3f} ±" in shown
    assert "guess: train mean" in shown
    assert f"run folder   {run}\nparity plot  {run / 'parity.png'}" in shown
    assert (run / "parity.png").read_bytes().startswith(PNG)
    rows = table(run / "predictions.csv")
    assert [row["split"] for row in rows].count("test") == 4
    assert {row["seed"] for row in rows} == {"5"}


def test_published_features_and_the_published_split(
    judged: dict[str, Path], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words = ["--selection", "published", "--split", "published", *ALONE]
    without_plots("baseline", "gbr", "--out", run, *words)
    used = {row["feature"] for row in table(run / "features.csv")}
    assert used == set(PUBLISHED_FEATURES) and len(used) == 75
    names = [band.name for band in STARTER]
    # By file order: the first 90 %, the next 10 %, both rounded down; the last one is left out.
    assert list(said(run, split="train")) == names[:33]
    assert list(said(run, split="val")) == names[33:36]
    assert config(run)["protocol"]["name"] == "one published split"
    assert config(run)["settings"]["selection"] == "published"


def test_leave_one_ion_out_twice_with_half_of_the_records(tmp_path: Path) -> None:
    whole, half = tmp_path / "whole", tmp_path / "half"
    words = ["baseline", "train-mean", "--leave-out", "ion", *ALONE]
    without_plots(*words, "--out", whole)
    more = ["--repeats", 2, "--train-fraction", 0.5, "--seed", 7]
    shown = without_plots(*words, "--out", half, *more).stdout
    assert f"│ {len(STARTER)} " in shown
    ions = {ion_of(band) for band in STARTER}
    means = []
    for ion in ions:
        held = [band for band in STARTER if ion_of(band) == ion]
        closed = {compound_of(band) for band in held}
        known = [TARGET[b.name] for b in STARTER if compound_of(b) not in closed]
        # Other ions in the same compounds teach nothing either.
        expected = dict.fromkeys((band.name for band in held), np.mean(known))
        assert said(whole, fold=ion) == pytest.approx(expected, abs=1e-5)
        for seed in ("7", "8"):
            found = said(half, fold=ion, seed=seed)
            assert set(found) == set(expected)
            (mean,) = set(found.values())
            assert min(known) <= mean <= max(known)
            means.append(mean)
    assert len(set(means)) == len(means)
    assert not set(means) & set(said(whole).values())
    folders = {str(file.parent.relative_to(half)) for file in half.rglob("seed-*/*/metrics.json")}
    assert folders == {f"seed-{seed}/fold-{n + 1}" for seed in (7, 8) for n in range(len(ions))}
    protocol = Protocol(leave_out="ion", repeats=2, train_fraction=0.5)
    assert config(half)["protocol"] == protocol.as_dict()


def test_a_second_file_is_predicted(judged: dict[str, Path], tmp_path: Path) -> None:
    run, file = tmp_path / "run", tmp_path / "mine.v2.json.gz"
    unknown = [replace(band, target=None) for band in some_bands(3)]
    write_bands(file, unknown)
    without_plots("baseline", "path-distance", *FOLDS, "--out", run, "--predict", file, *ALONE)
    rows = table(run / "predictions-mine.csv")
    line = np.polyfit([hop_length(band) for band in STARTER], list(TARGET.values()), 1)
    expected = [float(np.polyval(line, hop_length(band))) for band in unknown]
    assert [row["sys_name"] for row in rows] == [band.name for band in unknown]
    assert [float(row["prediction_eV"]) for row in rows] == pytest.approx(expected, abs=1e-4)
    assert [row["std_eV"] for row in rows] == [""] * 3
    # How the model is judged does not depend on it.
    assert said(run) == said(judged["path-distance"])


class Interruption:
    """Ctrl+C at a call, counted from 1; counts calls."""

    def __init__(self, instead: Callable[..., Any], at: int) -> None:
        self.instead, self.at, self.calls = instead, at, 0

    def __call__(self, *args: Any, **named: Any) -> Any:
        if self.calls + 1 == self.at:
            raise KeyboardInterrupt
        self.calls += 1
        return self.instead(*args, **named)


def test_baseline_is_interrupted_and_goes_on(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matminer", reason="optional: pip install 'linegraph[baselines]'")
    monkeypatch.setenv("LINEGRAPH_CACHE", str(tmp_path / "cache"))
    # At the eighth structure.
    features = Interruption(training.baselines.table.structure_features, 8)
    monkeypatch.setattr(training.baselines.table, "structure_features", features)
    run = tmp_path / "run"
    words = ["baseline", "rfr", "--data", data, *FOLDS, *ALONE, "--out", run]
    shown = without_plots(*words, code=INTERRUPTED)
    assert f"the same command with --resume --out {run} goes on" in shown.stderr
    assert {file.name for file in run.iterdir()} == {"config.yaml"}
    # Now while the second fold is learned.
    features.at = 0
    pipeline = Interruption(Baseline.pipeline, 2)
    with monkeypatch.context() as context:
        context.setattr(Baseline, "pipeline", lambda *args: pipeline(*args))
        without_plots(*words, "--resume", code=INTERRUPTED)
    assert features.calls == len(some_bands())
    assert (run / "fold-1" / "metrics.json").is_file()
    assert not (run / "metrics.json").exists()
    without_plots(*words, "--resume")
    whole = tmp_path / "whole"
    without_plots(*words[:-1], whole)
    assert features.calls == len(some_bands())
    for name in ("predictions.csv", "metrics.json", "features.csv", "failures.csv"):
        assert (run / name).read_bytes() == (whole / name).read_bytes()


@pytest.fixture(scope="module")
def reported(judged: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on all of these: runs, a band method and a table."""
    folder = tmp_path_factory.mktemp("report")
    hops = [word for band in STARTER[:4] for word in ("--record", band.name)]
    words = ["--calculator", CALCULATOR, "--no-relax", "--steps", 0, *hops]
    without_plots("neb", "--out", folder / "neb", *words)
    lines = [f"{quoted(b.name)},{TARGET[b.name] + 0.25}" for b in STARTER]
    given = written(folder / "given.csv", "sys_name,old_eV", *lines)
    shown = linegraph(
        "report", f"{MARKUP}={judged['rfr']}", f"trees={judged['path-trees']}", judged["gbr"],
        "--untrained", f"bands={folder / 'neb'}", "--untrained", f"a table={given}",
        "--data", "starter", "--out", folder / "out", "--resamples", 20, "--threshold", 0.5,
    )  # fmt: skip
    page = folder / "out" / "index.html"
    assert shown.stdout == f"report       {page}\n"
    return page


def test_the_page_holds_what_the_table_holds(reported: Path, judged: dict[str, Path]) -> None:
    rows = table(reported.parent / "table.csv")
    assert {row["protocol"] for row in rows} == {"3 folds by system"}
    kinds = {row["model"]: row["kind"] for row in rows}
    trivial = ("train mean", "class mean", "path distance")
    assert kinds == {
        **dict.fromkeys((MARKUP, "trees", "gbr"), "trained"),
        **dict.fromkeys(("bands", "a table"), "no training"),
        **dict.fromkeys(trivial, "trivial"),
    }
    text = Page(reported).text
    for row in rows:
        # A line of the page: the model, its records and compounds, and every score.
        line = text[text.index(f"{row['model']} ") :]
        for key in ("mae", "rmse", "r2", "spearman", "accuracy", "precision", "recall", "roc_auc"):
            told = f"{float(row[key]):.3f}" if row[key] else "–"
            assert told in line[: 60 + 20 * 9 + len(row["model"])], (row["model"], key)
            line = line[line.index(told) + len(told) :]
    for model, run in ((MARKUP, "rfr"), ("trees", "path-trees"), ("gbr", "gbr")):
        metrics = json.loads((judged[run] / "metrics.json").read_text())
        row = next(row for row in rows if row["model"] == model)
        assert float(row["mae"]) == pytest.approx(metrics["test"]["mae"], abs=1e-6)
        assert row["records"] == str(len(STARTER))
    for name, run in zip(trivial, ("train-mean", "class-mean", "path-distance"), strict=True):
        metrics = json.loads((judged[run] / "metrics.json").read_text())
        row = next(row for row in rows if row["model"] == name)
        assert float(row["mae"]) == pytest.approx(metrics["test"]["mae"], abs=1e-5)
    assert float(next(r for r in rows if r["model"] == "a table")["mae"]) == pytest.approx(0.25)
    assert next(r for r in rows if r["model"] == "bands")["records"] == "4"


def test_labels_are_text_on_the_page(reported: Path) -> None:
    page = Page(reported)
    assert MARKUP in page.text
    assert page.tags.isdisjoint({"b", "script", "link"})
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in page.links)
    # The name of its picture is one for a file.
    pictures = {path.name for path in (reported.parent / "parity").iterdir()}
    assert len(pictures) == 5
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_.-") for name in pictures)


def test_report_on_a_network_and_a_baseline(run: Path, data: Path, tmp_path: Path) -> None:
    """By one split each, without their data: what the runs recorded is told."""
    other = tmp_path / "baseline"
    words = ["--data", data, "--split", "random", "--seed", 3]
    without_plots("baseline", "train-mean", *words, "--out", other)
    out = tmp_path / "out"
    words = ["--reference", "baseline", "--resamples", 5, "--out", out]
    linegraph("report", f"network={run}", other, *words)
    rows = {row["model"]: row for row in table(out / "table.csv")}
    assert {"network", "baseline", "train mean"} <= set(rows)
    for model, folder in (("network", run), ("baseline", other)):
        metrics = json.loads((folder / "metrics.json").read_text())
        fitted = [row for row in table(out / "table.csv") if row["model"] == model]
        assert [row["protocol"] for row in fitted] == [
            "one random split", "fit to the training records",
        ]  # fmt: skip
        assert [float(row["mae"]) for row in fitted] == [
            pytest.approx(metrics[split]["mae"], abs=1e-5) for split in ("test", "train")
        ]
    assert {row["reference"] for row in table(out / "paired.csv")} <= {"baseline"}
    assert "no training" not in Page(out / "index.html").text.lower()
