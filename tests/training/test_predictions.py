"""Predictions read from run folders and tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.bands import some_bands
from tests.errors import message_of
from tests.goldens import SHARED, needs_data
from training.judging.predictions import Predictions, read_run, read_table
from training.predict_written import COLUMNS
from training.protocols import Protocol
from training.report import Row, write_rows

BARRIERS = SHARED / "data" / "barriers"
OLD = "sys_name,split,system,class,target_eV,prediction_eV\n"
NEW = "sys_name,split,system,class,ion,fold,seed,target_eV,prediction_eV,std_eV\n"


def text_run(folder: Path, text: str, config: dict[str, Any] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "predictions.csv").write_text(text)
    if config is not None:
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def columns(p: Predictions) -> dict[str, list[Any]]:
    names = ("names", "split", "system", "family", "ion", "fold", "seed")
    return {name: getattr(p, name) for name in names}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    bands = some_bands(4)
    rows = [
        Row(band, "test", 0.1 * i, 0.01 * i if i else None, str(i % 2), 5 + seed)
        for seed in range(2)
        for i, band in enumerate(bands)
    ]
    write_rows(tmp_path, "x", rows)
    protocol = Protocol(folds=2, repeats=2, train_fraction=0.5)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"protocol": protocol.as_dict()}))
    found = read_run(tmp_path, "mine")
    assert (found.name, found.protocol, found.train_fraction) == ("mine", "2 folds by system", 0.5)
    assert found.path == tmp_path
    assert columns(found) == {
        "names": [band.name for band in bands] * 2,
        "split": ["test"] * 8,
        "system": [band.system for band in bands] * 2,
        "family": [band.family for band in bands] * 2,
        "ion": ["Li", "Li", "Na", "Na"] * 2,
        "fold": ["0", "1", "0", "1"] * 2,
        "seed": [5] * 4 + [6] * 4,
    }
    assert found.target.tolist() == [band.target for band in bands] * 2
    assert found.prediction == pytest.approx([0, 0.1, 0.2, 0.3] * 2)
    assert np.isnan(found.std[[0, 4]]).all()
    assert found.std[1:4] == pytest.approx([0.01, 0.02, 0.03])
    assert read_run(tmp_path).name == tmp_path.name


def test_rows_of_a_split_and_with_a_target(tmp_path: Path) -> None:
    text = NEW + "a,train,s,,Li,,1,0.5,0.25,\nb,test,s,,Na,,1,,0.3,0.1\nc_2,test,,,K,,1,0.7,0.4,0\n"
    found = read_run(text_run(tmp_path, text))
    test = found.of("test")
    assert (len(found), len(test), len(found.of("val"))) == (3, 2, 0)
    assert columns(test)["names"] == ["b", "c_2"]
    assert columns(test)["ion"] == ["Na", "K"]
    # Of a record without a system, the compound is what its name says.
    assert test.system == ["s", "c"]
    assert np.isnan(test.target[0]) and test.target[1] == 0.7
    known = test.labelled()
    assert (known.names, known.prediction.tolist(), known.std.tolist()) == (["c_2"], [0.4], [0.0])
    # No config.yaml, as beside an evaluation.
    assert found.protocol == ""


def test_a_run_of_an_earlier_version(tmp_path: Path) -> None:
    config = {"settings": {"seed": 17, "lr": 0.1}, "folds": 2}
    text_run(tmp_path / "run", OLD + "a,test,s,,0.5,0.25\nb,test,t,,,0.3\n", config)
    text_run(tmp_path / "run" / "fold-1", OLD + "b,test,t,,,0.3\n")
    text_run(tmp_path / "run" / "fold-2", OLD + "a,test,s,,0.5,0.25\n")
    found = read_run(tmp_path / "run")
    assert (found.protocol, found.train_fraction) == ("2 folds by system", 1.0)
    assert (found.fold, found.seed, found.ion) == (["2", "1"], [17, 17], ["", ""])
    assert np.isnan(found.std).all()
    for folds in (0, None):
        run = text_run(tmp_path / "run", OLD + "a,test,s,,0.5,0.25\n", {"folds": folds})
        assert read_run(run).protocol == "one grouped split"


def test_a_method_that_learns_nothing(tmp_path: Path) -> None:
    said = zip(some_bands(2)[::-1], (0.5, 0.4), strict=True)
    write_rows(tmp_path, "x", [Row(band, "test", value) for band, value in said])
    (tmp_path / "config.yaml").write_text("protocol: {name: no training}\nsettings: {}\n")
    found = read_run(tmp_path)
    assert (found.protocol, found.fold, found.seed) == ("no training", ["", ""], [0, 0])
    assert found.names == [band.name for band in some_bands(2)[::-1]]


@pytest.mark.parametrize(
    ("row", "place", "problem"),
    [
        ("a,test,s,,Li,,0,0.5,nan,", "'a' (line 3), field prediction_eV", "'nan' is NaN"),
        ("a,test,s,,Li,,0,0.5,inf,", "'a' (line 3), field prediction_eV", "infinite"),
        ("a,test,s,,Li,,0,0.5,much,", "'a' (line 3), field prediction_eV", "a number, got 'much'"),
        ("a,test,s,,Li,,0,x,0.5,", "'a' (line 3), field target_eV", "expected a number"),
        ("a,test,s,,Li,,0,0.5,0.5,-1", "'a' (line 3), field std_eV", "negative"),
        ("a,test,s,,Li,,one,0.5,0.5,", "'a' (line 3), field seed", "a whole number, got 'one'"),
        (",test,s,,Li,,0,0.5,0.5,", "line 3, field sys_name", "is empty"),
        ("first,test,s,,Li,9,0,0.5,0.5,", "'first' (line 3), field sys_name", "in line 2, too"),
        ("a,test,s,,Li,,0,0.5", "line 3", "8 cells, but there are 10 columns"),
        ('a,test,s,,Li,,0,0.5,"0.5', "", "no valid CSV"),
    ],
)
def test_bad_rows(row: str, place: str, problem: str, tmp_path: Path) -> None:
    run = text_run(tmp_path, f"{NEW}first,test,s,,Li,1,0,0.5,0.25,\n{row}\n")
    for attempt in (lambda: read_run(run), lambda: read_table(run / "predictions.csv")):
        message = message_of(attempt)
        assert message.startswith(str(run / "predictions.csv"))
        assert place in message
        assert problem in message


def test_a_run_predicts_every_record_it_lists(tmp_path: Path) -> None:
    """A model of a table need not."""
    run = text_run(tmp_path, NEW + "a,test,s,,Li,,0,0.5,0.25,\nb,test,s,,Li,,0,0.5,,\n")
    message = message_of(lambda: read_run(run))
    assert message.endswith("record 'b' (line 3), field prediction_eV: is empty")
    assert [p.names for p in read_table(run / "predictions.csv")] == [["a"]]


def test_the_same_record_in_other_splits_and_seeds(tmp_path: Path) -> None:
    rows = [f"a,{split},s,,Li,,{seed},0.5,0.5," for split in ("test", "val") for seed in (1, 2)]
    assert len(read_run(text_run(tmp_path, NEW + "\n".join(rows) + "\n"))) == 4


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no rows"),
        (NEW, "no rows"),
        ("sys_name,prediction_eV\na,1\n", "field split: there is no such column"),
        (OLD.replace("class", "split") + "a,test,s,x,1,1\n", "field split: several columns"),
        ("crystal,split,property,target,prediction\na,test,x,1,1\n", "field sys_name: there is no"),
        (",".join(COLUMNS) + "\n", "field sys_name: was written by `predict --csv`"),
    ],
)
def test_bad_tables(text: str, problem: str, tmp_path: Path) -> None:
    run = text_run(tmp_path, text)
    message = message_of(lambda: read_run(run))
    assert message.startswith(str(run / "predictions.csv"))
    assert problem in message


def test_folders_that_are_no_runs(tmp_path: Path) -> None:
    assert "there are no predictions" in message_of(lambda: read_run(tmp_path))
    row = OLD + "a,test,s,,0.5,0.25\n"
    for number, config in enumerate(
        ("a: [", "- 1", "settings: 3", "protocol: 5", "protocol: {folds: 5}",
         "protocol: {name: x, train_fraction: much}")
    ):  # fmt: skip
        run = text_run(tmp_path / str(number), row)
        (run / "config.yaml").write_text(config)
        message = message_of(lambda run=run: read_run(run))  # type: ignore[misc]
        assert message.startswith(str(run / "config.yaml"))
    (tmp_path / "0" / "predictions.csv").write_bytes(b"sys_name,\xff\n")
    assert "no valid CSV in UTF-8" in message_of(lambda: read_run(tmp_path / "0"))


def test_a_table_of_several_models(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(
        "\ufeffsys_name,class,migrating_ion,em_eV,one_eV,hop_A,two_eV,three_eV\n"
        "A_1,SPINEL,Li,0.5,0.4,3.2,,\n"
        "\n"
        "A_2,,Na,,0.6,3.3,0.7,\n"
    )
    one, two = read_table(path, targets={"A_1": 9.0, "A_2": 0.8})
    assert (one.name, two.name) == ("one", "two")
    assert columns(one) == {
        "names": ["A_1", "A_2"],
        "split": ["all", "all"],
        "system": ["A", "A"],
        "family": ["SPINEL", ""],
        "ion": ["Li", "Na"],
        "fold": ["", ""],
        "seed": [0, 0],
    }
    # The table's own targets come first.
    assert one.target.tolist() == [0.5, 0.8]
    assert one.prediction.tolist() == [0.4, 0.6]
    assert (two.names, two.prediction.tolist()) == (["A_2"], [0.7])
    assert {one.protocol, two.protocol} == {"as given"}
    assert {p.protocol for p in read_table(path, trained=False)} == {"no training"}
    assert np.isnan(read_table(path)[1].target).all()


def test_whose_standard_deviations_they_are(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("sys_name,prediction_eV,std_eV,other_eV\na,0.5,0.1,0.4\n")
    mine, other = read_table(path)
    assert (mine.name, mine.std.tolist()) == ("prediction", [0.1])
    assert np.isnan(other.std).all()
    path.write_text("sys_name,mine_eV,std_eV\na,0.5,0.1\n")
    assert [p.std.tolist() for p in read_table(path)] == [[0.1]]
    path.write_text("sys_name,mine_eV,other_eV,std_eV\na,0.5,0.1,0.1\n")
    assert "field std_eV: of which model: mine_eV, other_eV?" in message_of(
        lambda: read_table(path)
    )
    path.write_text("sys_name,target_eV,std_eV,blank_eV\na,0.5,0.1,\n")
    assert "no column *_eV with predictions" in message_of(lambda: read_table(path))
    assert "No such file" in message_of(lambda: read_table(tmp_path / "none.csv"))


@needs_data
def test_the_published_tables() -> None:
    models = read_table(BARRIERS / "published_predictions.csv")
    assert [p.name for p in models] == [f"model_{i}" for i in (1, 2, 3, 4)]
    for p in models:
        assert len(p.of("train").labelled()) == len(p.of("train")) == 559
        assert len(set(p.of("train").system)) == 403
    relaxed, unrelaxed = read_table(BARRIERS / "tabulation.csv", trained=False)
    assert (relaxed.name, len(relaxed)) == ("mace_neb_relax", 616)
    assert (unrelaxed.name, len(unrelaxed)) == ("mace_neb_no_relax", 612)
    assert relaxed.ion[0] == "K" and relaxed.family[0] == "PYROPHOSPHATE"
