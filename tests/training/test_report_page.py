from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.goldens import SHARED
from tests.judged_runs import SCRIPT, hops, hops_file, pretend, quoted, table, written
from training.judging.report import report
from training.protocols import Protocol

BARRIERS = SHARED / "data" / "barriers"
VOID = {"meta", "img", "link", "br", "wbr"}

LABEL = "a <b>bold</b> $model_1$"


class Page(HTMLParser):
    """What a page says, and what it would fetch."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.tags: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)


class Case(NamedTuple):
    out: Path
    data: Path
    runs: Mapping[str, Path]

    def page(self) -> Page:
        return Page(self.out / "index.html")


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A report on everything there can be."""
    folder = tmp_path_factory.mktemp("full")
    data = hops_file(folder / "bands.json")
    tuned: dict[str, object] = {"hidden": 8}
    runs = {
        LABEL: pretend(folder / "a", data, noise=0.05, std=True, settings=tuned),
        "half": pretend(
            folder / "b", data, Protocol(folds=3, train_fraction=0.5), noise=0.2, settings=tuned
        ),
        "twice": pretend(folder / "c", data, Protocol(folds=3, repeats=2), noise=0.4),
        "class out": pretend(folder / "d", data, Protocol(leave_out="class"), noise=0.3),
        "single": pretend(folder / "e", data, Protocol(), noise=0.1),
    }
    records = [f"{quoted(b.name)},{b.target},{b.target + 0.1}" for b in hops()]
    fitted = written(
        folder / "fit.csv",
        "sys_name,split,em_eV,first_eV,second_eV",
        *[f"{quoted(b.name)},train,{b.target},{b.target},{b.target + 0.25}" for b in hops()],
    )
    fixed = written(folder / "neb.csv", "sys_name,em_eV,neb_eV", *records[:20])
    out = report(
        folder / "out",
        [*runs.items(), ("paper", fitted)],
        untrained=[("", fixed)],
        data=str(data),
        resamples=20,
    )
    assert out == folder / "out" / "index.html"
    return Case(folder / "out", data, runs)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are laid out but not painted, which takes most of the time of a report."""

    def save(self: Figure, path: Path, **named: object) -> None:
        Path(path).write_bytes(b"\x89PNG\r\n\x1a\n")

    monkeypatch.setattr(Figure, "savefig", save)


def test_the_page_stands_alone(full: Case) -> None:
    page = full.page()
    assert page.tags.isdisjoint({"script", "link", "iframe", "object", "embed", "b"})
    assert page.links
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in page.links)
    assert "url(" not in (full.out / "index.html").read_text(encoding="utf-8")
    assert {"src", "http"}.isdisjoint(re.findall(r"[a-z]+", page.text))


def test_names_are_text(full: Case) -> None:
    page = full.page()
    assert LABEL in page.text
    assert "<script" not in (full.out / "index.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;bold" in (full.out / "index.html").read_text(encoding="utf-8")
    # The one outlier is named on the page, and the first record is called a script.
    assert hops()[-1].name in page.text


@pytest.mark.usefixtures("undrawn")
def test_a_record_called_script_is_shown_as_text(tmp_path: Path) -> None:
    bands = hops()
    data = hops_file(tmp_path / "bands.json", bands)
    run = pretend(tmp_path / "run", data)
    lines = (run / "predictions.csv").read_text(encoding="utf-8").splitlines()
    header = lines[0].split(",")
    rows = table(run / "predictions.csv")
    for row in rows:
        if row["sys_name"].startswith(SCRIPT):
            # Above 5 eV: the page then names it.
            row["target_eV"] = "7.0"
    with (run / "predictions.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, header)
        writer.writeheader()
        writer.writerows(rows)
    page = Page(report(tmp_path / "out", [("", run)], resamples=5))
    assert f"{SCRIPT}_1" in page.text
    assert "script" not in page.tags


def test_every_number_of_the_tables_is_on_the_page(full: Case) -> None:
    text = full.page().text
    rows = table(full.out / "table.csv")
    # Models by three protocols, what needs no training and trivial predictors in each; fits.
    assert len(rows) == (3 + 1 + 1) + 3 * (1 + 3) + 3
    for row in rows:
        shown = ("mae", "rmse", "r2") if row["kind"] == "fit" else ("mae", "spearman", "roc_auc")
        for key in shown:
            if row[key]:
                assert f"{float(row[key]):.3f}" in text
        assert row["records"] in text
    for row in table(full.out / "paired.csv"):
        assert f"{float(row['mae_difference_eV']):+.3f}" in text


def test_sections_in_order(full: Case) -> None:
    text = full.page().text
    titles = [
        "1. How good every model is",
        "2. Which model is better",
        "3. Prediction against target",
        "4. Error against training-set size",
        "5. Where errors are large",
        "6. Whether intervals hold",
        "7. Experiment against computation",
        "8. What was given",
    ]
    places = [text.index(title) for title in titles]
    assert places == sorted(places)
    for protocol in ("3 folds by system", "Leave one class out", "One grouped split"):
        assert protocol in text
    assert "Fit to the training records: no judgement" in text
    assert "Not drawn" not in text
    assert "Not judged" not in text
    assert "Not parted" not in text


def test_scores_are_those_of_the_predictions(full: Case) -> None:
    rows = {(r["protocol"], r["model"]): r for r in table(full.out / "table.csv")}
    for label in (LABEL, "single"):
        run = table(full.runs[label] / "predictions.csv")
        held = [r for r in run if r["split"] == "test"]
        error = [float(r["prediction_eV"]) - float(r["target_eV"]) for r in held]
        row = next(r for (p, m), r in rows.items() if m == label and not p.startswith("fit"))
        assert float(row["mae"]) == pytest.approx(np.abs(error).mean())
        assert float(row["rmse"]) == pytest.approx(np.sqrt(np.square(error).mean()))
        assert int(row["records"]) == len(held)
    best = rows["3 folds by system", LABEL]
    assert best["seeds"] == "1"
    assert rows["3 folds by system", "twice"]["seeds"] == "2"
    assert rows["3 folds by system", "half"]["train_fraction"] == "0.5"
    # The one barrier above 5 eV spreads the targets: without it R2 is another.
    assert float(best["r2"]) > float(best["r2_below"])
    assert float(rows["fit to the training records", "paper second"]["mae"]) == pytest.approx(0.25)
    assert float(rows["fit to the training records", "paper first"]["mae"]) == 0


@pytest.mark.parametrize(
    ("protocol", "label"),
    [
        ("3 folds by system", LABEL),
        ("leave one class out", "class out"),
        ("one grouped split", "single"),
    ],
)
def test_trivial_predictors_learn_from_what_the_run_could(
    full: Case, protocol: str, label: str
) -> None:
    # Recomputed from the data and the table of predictions; the run has its own from its parts.
    recorded = json.loads((full.runs[label] / "metrics.json").read_text())["trivial"]
    rows = [r for r in table(full.out / "table.csv") if r["protocol"] == protocol]
    found = {r["model"]: float(r["mae"]) for r in rows if r["kind"] == "trivial"}
    assert found == {name: pytest.approx(row["mae"], abs=1e-6) for name, row in recorded.items()}
    assert len(found) == 3


def test_each_row_on_its_own_records(full: Case) -> None:
    rows = [r for r in table(full.out / "table.csv") if r["protocol"] == "3 folds by system"]
    assert {r["records"] for r in rows if r["kind"] != "no training"} == {"30"}
    assert [r["records"] for r in rows if r["kind"] == "no training"] == ["20"]
    paired = {(r["protocol"], r["model"]): r for r in table(full.out / "paired.csv")}
    assert paired["3 folds by system", "neb"]["records"] == "20"
    assert paired["3 folds by system", "neb"]["reference"] == LABEL
    run = {r["sys_name"]: r for r in table(full.runs[LABEL] / "predictions.csv")}
    own = [abs(float(run[b.name]["prediction_eV"]) - (b.target or 0)) for b in hops()[:20]]
    difference = float(paired["3 folds by system", "neb"]["mae_difference_eV"])
    assert difference == pytest.approx(0.1 - np.mean(own))


def test_learning_curve(full: Case) -> None:
    rows = table(full.out / "learning_curve.csv")
    assert [(r["model"], r["train_fraction"]) for r in rows] == [("half", "0.5"), (LABEL, "1.0")]
    assert [float(r["training_records"]) for r in rows] == [
        pytest.approx(0.5 * 0.9 * 20, abs=0.1),
        pytest.approx(0.9 * 20, abs=0.1),
    ]
    assert float(rows[0]["mae_eV"]) > float(rows[1]["mae_eV"])


def test_calibration_is_of_the_run_with_deviations(full: Case) -> None:
    rows = table(full.out / "calibration.csv")
    assert {r["model"] for r in rows} == {LABEL}
    observed = {float(r["nominal"]): float(r["observed"]) for r in rows}
    # Noise and stated deviation are equal.
    assert observed[0.95] > 0.8
    assert observed[0.1] < 0.35


def test_files_behind_the_page(full: Case) -> None:
    names = {path.name for path in full.out.iterdir()}
    assert {f"by_{what}.csv" for what in ("class", "ion", "size", "hop", "distance")} <= names
    # Of what needs no training, one for every set of records; and three fits.
    assert len(list((full.out / "parity").glob("*.png"))) == 5 + 2 + 3
    assert {r["part"] for r in table(full.out / "by_ion.csv")} == {"Li", "Na", "Mg"}


@pytest.mark.usefixtures("undrawn")
def test_without_data(full: Case, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = full.runs["single"]
    page = Page(report(out, [("", run)], resamples=5))
    assert "the data are not given" in page.text
    assert "Not drawn" in page.text
    assert "Not judged: no prediction carries a standard deviation" in page.text
    rows = table(out / "table.csv")
    recorded = json.loads((run / "metrics.json").read_text())["trivial"]
    found = {r["model"]: float(r["mae"]) for r in rows if r["kind"] == "trivial"}
    assert found == {name: row["mae"] for name, row in recorded.items()}
    assert table(out / "by_size.csv") == []
    assert rows[0]["model"] == "e"


@pytest.mark.usefixtures("undrawn")
def test_only_tables(tmp_path: Path) -> None:
    lines = [f"{i},{'train' if i < 3 else 'test'},{0.1 * i},{0.1 * i + 0.05}" for i in range(9)]
    first = written(tmp_path / "a.csv", "sys_name,split,target_eV,model_eV", *lines)
    page = Page(report(tmp_path / "out", [("", first)], resamples=5))
    assert "taken on trust" in page.text
    assert "No trivial predictors" in page.text
    assert [r["records"] for r in table(tmp_path / "out" / "table.csv")] == ["6", "3"]
    # And a method that never learned, alone.
    page = Page(report(tmp_path / "alone", [], untrained=[("NEB", first)], resamples=5))
    assert [r["records"] for r in table(tmp_path / "alone" / "table.csv")] == ["9"]
    assert "No training" in page.text


@pytest.mark.usefixtures("undrawn")
def test_only_training_records(tmp_path: Path) -> None:
    lines = [f"{i},train,{0.1 * i},{0.1 * i + 0.05}" for i in range(9)]
    first = written(tmp_path / "a.csv", "sys_name,split,target_eV,model_eV", *lines)
    page = Page(report(tmp_path / "out", [("", first)], resamples=5))
    assert "No model is judged" in page.text
    assert "no judgement" in page.text


@pytest.mark.skipif(not BARRIERS.is_dir(), reason="../shared/data/barriers is not here")
@pytest.mark.usefixtures("undrawn")
def test_the_published_numbers(tmp_path: Path) -> None:
    report(
        tmp_path / "out",
        [("", BARRIERS / "published_predictions.csv")],
        untrained=[("", BARRIERS / "tabulation.csv")],
        resamples=2,
    )
    rows = {r["model"]: r for r in table(tmp_path / "out" / "table.csv")}
    expected = {
        "model_1": (0.241, 0.562),
        "model_2": (0.218, 0.579),
        "model_3": (0.085, 0.941),
        "model_4": (0.166, 0.834),
    }
    for name, figures in expected.items():
        found = rows[name]
        assert (round(float(found["mae"]), 3), round(float(found["r2"]), 3)) == figures
        assert found["kind"] == "fit"
    assert rows["mace_neb_relax"]["kind"] == "no training"
