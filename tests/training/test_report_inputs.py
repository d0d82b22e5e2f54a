from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from linegraph.errors import InputError
from tests.judged_runs import hops, hops_file, pretend, quoted, table, written
from training.judging.report import report


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hops_file(tmp_path_factory.mktemp("data") / "bands.json")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    return pretend(tmp_path_factory.mktemp("runs") / "good", data, noise=0.1)


@pytest.fixture(scope="module")
def poor(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    return pretend(tmp_path_factory.mktemp("runs") / "poor", data, noise=0.5)


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are laid out but not painted, which takes most of the time of a report."""

    def save(self: Figure, path: Path, **named: object) -> None:
        Path(path).write_bytes(b"\x89PNG\r\n\x1a\n")

    monkeypatch.setattr(Figure, "savefig", save)


def test_the_reference_can_be_chosen(good: Path, poor: Path, tmp_path: Path) -> None:
    runs = [("", good), ("", poor)]
    report(tmp_path / "out", runs, reference="poor", resamples=5)
    assert {r["reference"] for r in table(tmp_path / "out" / "paired.csv")} == {"poor"}
    report(tmp_path / "best", runs, resamples=5)
    assert {r["reference"] for r in table(tmp_path / "best" / "paired.csv")} == {"good"}
    with pytest.raises(InputError, match="no model is called 'other'"):
        report(tmp_path / "no", runs, reference="other", resamples=5)
    assert not (tmp_path / "no").exists()


def test_inputs_that_do_not_belong_together(good: Path, poor: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to report on"):
        report(tmp_path / "no", [])
    with pytest.raises(InputError, match="two models are called 'x'"):
        report(tmp_path / "no", [("x", good), ("x", poor)])
    name = hops()[3].name
    other = written(tmp_path / "o.csv", "sys_name,target_eV,m_eV", f"{quoted(name)},9.5,1.0")
    with pytest.raises(InputError, match="not judged by the same barriers") as caught:
        report(tmp_path / "no", [("one", good), ("two", other)])
    assert "two has 9.5 eV, one has" in str(caught.value)
    assert caught.value.file == other
    assert caught.value.record == repr(name)
    blind = written(tmp_path / "b.csv", "sys_name,target_eV,m_eV", f"{quoted(name)},,1.0")
    with pytest.raises(InputError, match="no prediction has a known barrier"):
        report(tmp_path / "no", [("", blind)])
    assert not (tmp_path / "no").exists()


def test_targets_come_from_the_data_where_a_table_has_none(data: Path, tmp_path: Path) -> None:
    lines = [f"{quoted(b.name)},{(b.target or 0) + 0.5}" for b in hops()]
    blind = written(tmp_path / "b.csv", "sys_name,m_eV", *lines)
    report(tmp_path / "out", [("", blind)], data=str(data), resamples=5)
    assert float(table(tmp_path / "out" / "table.csv")[0]["mae"]) == pytest.approx(0.5)


def test_two_barriers_of_one_record_in_run_and_data(good: Path, tmp_path: Path) -> None:
    bands = hops()
    bands[4] = replace(bands[4], target=3.0)
    changed = hops_file(tmp_path / "changed.json", bands)
    with pytest.raises(InputError, match="the data has 3 eV") as caught:
        report(tmp_path / "no", [("", good)], data=str(changed))
    assert caught.value.record == repr(bands[4].name)


def test_a_run_of_no_training_is_none_of_the_models_that_learned(
    good: Path, tmp_path: Path
) -> None:
    neb = tmp_path / "neb"
    neb.mkdir()
    lines = [f"{quoted(b.name)},all,{b.target},{(b.target or 0) + 0.3}" for b in hops()[:8]]
    written(neb / "predictions.csv", "sys_name,split,target_eV,prediction_eV", *lines)
    written(neb / "config.yaml", "protocol: {name: no training}")
    report(tmp_path / "out", [("", good), ("", neb)], resamples=5)
    row = next(r for r in table(tmp_path / "out" / "table.csv") if r["model"] == "neb")
    assert (row["kind"], row["protocol"], row["records"]) == (
        "no training", "3 folds by system", "8",
    )  # fmt: skip
    assert float(row["mae"]) == pytest.approx(0.3)


def test_files_that_cannot_be_read(good: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read") as caught:
        report(tmp_path / "no", [("", tmp_path / "absent.csv")])
    assert caught.value.file == tmp_path / "absent.csv"
    broken = tmp_path / "broken"
    shutil.copytree(good, broken)
    (broken / "metrics.json").write_text("[1, 2")
    with pytest.raises(InputError, match="cannot be read") as caught:
        report(tmp_path / "no", [("", broken)])
    assert caught.value.file == broken / "metrics.json"
    with pytest.raises(InputError, match="at least 2 resamples"):
        report(tmp_path / "no", [("", good)], resamples=1)
    with pytest.raises(InputError, match="field threshold"):
        report(tmp_path / "no", [("", good)], threshold=0)


def test_a_folder_with_something_in_it_is_left_alone(good: Path, tmp_path: Path) -> None:
    written(tmp_path / "notes.txt", "mine")
    with pytest.raises(InputError, match="already exists"):
        report(tmp_path, [("", good)])
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_what_is_in_no_table_is_told(good: Path, data: Path, tmp_path: Path) -> None:
    other = written(tmp_path / "o.csv", "sys_name,target_eV,m_eV", "elsewhere,0.5,0.6")
    page = report(tmp_path / "out", [("", good)], untrained=[("far", other)], resamples=5)
    assert "In no table, because no other model predicts its records" in page.read_text("utf-8")
    with pytest.raises(InputError, match="'class mean' is what a trivial predictor is called"):
        report(tmp_path / "no", [("class mean", good)], data=str(data), resamples=5)
    assert not (tmp_path / "no").exists()
