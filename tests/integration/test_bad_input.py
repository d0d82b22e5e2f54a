"""What cannot be used ends in one line that says what and where, and exit code 2."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.bands import data_file, settings, some_bands
from tests.integration.command import assert_says, linegraph, refused
from tests.integration.test_cli import table, write_structure
from training.records import write_bands

Record = dict[str, Any]
Change = Callable[[Record], object]


def _atom(index: int, axis: int, value: float) -> Change:
    return lambda record: record["atoms"]["coords"][index].__setitem__(axis, value)


DEFECTS: dict[str, tuple[Change, str, str]] = {
    "no atoms": (lambda r: r.pop("atoms"), "atoms", "missing"),
    "no coordinates": (lambda r: r["atoms"].pop("coords"), "atoms.coords", "missing"),
    "four atoms": (
        lambda r: r["atoms"].update(coords=r["atoms"]["coords"][:4], elements=["Li"] * 4),
        "atoms.elements", "4 atoms",
    ),
    "images differ": (
        lambda r: r["atoms"]["elements"].__setitem__(2, "Na"), "atoms.elements", "images"
    ),
    "unknown element": (
        lambda r: r["atoms"]["elements"].__setitem__(9, "Xx"), "atoms.elements", "'Xx'"
    ),
    "NaN coordinate": (_atom(7, 1, float("nan")), "atoms.coords", "NaN or infinite"),
    "infinite coordinate": (_atom(0, 0, float("inf")), "atoms.coords", "NaN or infinite"),
    "two atoms on one site": (
        lambda r: r["atoms"]["coords"].__setitem__(9, r["atoms"]["coords"][8]),
        "atoms.coords", "atoms 8 and 9 are on one site",
    ),
    "singular lattice": (
        lambda r: r["atoms"]["lattice_mat"].__setitem__(2, r["atoms"]["lattice_mat"][1]),
        "atoms.lattice_mat", "singular",
    ),
    "NaN target": (lambda r: r.update(target=float("nan")), "target", "NaN or infinite"),
    "target is text": (lambda r: r.update(target="0.3"), "target", "number"),
    "doubled name": (lambda r: r.update(sys_name="LiOx0_0"), "sys_name", "same name"),
}  # fmt: skip


def damaged(data: Path, path: Path, changes: dict[int, Change]) -> Path:
    records = json.loads(data.read_text())
    for number, change in changes.items():
        change(records[number])
    path.write_text(json.dumps(records))
    return path


@pytest.mark.parametrize("name", DEFECTS)
def test_record_that_cannot_be_used(name: str, tmp_path: Path, data: Path, run: Path) -> None:
    change, field, problem = DEFECTS[name]
    path = damaged(data, tmp_path / "bad.json", {4: change})
    for command in (
        ["train", "--data", path, "--out", tmp_path / "run", *settings()],
        ["evaluate", run, "--data", path, "--out", tmp_path / "run"],
        ["predict", path, "--weights", run],
        ["data", "--data", path],
    ):
        line = refused(*command)
        assert_says(line, path, "number 5", f"field {field}", problem)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"[{", "no valid JSON"),
        (b"\xff\xfe\x00", "no valid JSON"),
        (b"", "no valid JSON"),
        (b'{"a": 1}', "list of records"),
        (b"[]", "empty"),
        (b"[" * 100_000, "no valid JSON"),
    ],
)
def test_file_that_cannot_be_read(content: bytes, problem: str, tmp_path: Path, run: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    for command in (["data", "--data", path], ["predict", path, "--weights", run]):
        assert_says(refused(*command), path, problem)


def test_missing_and_foreign_files(tmp_path: Path, run: Path) -> None:
    for name in ("nowhere.json", "nowhere"):
        assert_says(refused("train", "--data", tmp_path / name), tmp_path / name, "no such file")
    for name in ("nowhere.json", "nowhere.cif", "POSCAR"):
        line = refused("predict", tmp_path / name, "--weights", run)
        assert_says(line, tmp_path / name, "no such file")
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    assert_says(refused("data", "--data", text), text, "expected a .json")
    assert_says(refused("predict", text, "--weights", run), text, "cannot be read")
    assert_says(refused("data", "--data", tmp_path / "run.json", "--out", "x"), "no such file")
    (tmp_path / "empty").mkdir()
    assert_says(refused("data", "--data", tmp_path / "empty"), tmp_path / "empty", "neither")


def test_predict_names_the_file_of_a_bad_structure(tmp_path: Path, run: Path) -> None:
    band = some_bands()[0]
    short = tmp_path / "POSCAR"
    write_structure(short, band)
    lines = short.read_text().splitlines()
    lines[5:] = ["Na Li O", "1 10 8", lines[7], *(line.rpartition(" ")[0] for line in lines[8:])]
    short.write_text("\n".join(lines) + "\n")
    line = refused("predict", short, "--as", "band", "--weights", run)
    assert_says(line, short, "field elements", "images")
    # Not taken for a band, so that of its two ions either may be the mobile one.
    assert_says(refused("predict", short, "--weights", run), short, "field ion", "Li or Na")


def test_folder_of_structures_names_file_and_line(tmp_path: Path) -> None:
    write_structure(tmp_path / "a.cif", some_bands()[0])
    (tmp_path / "targets.csv").write_text("file,target_eV\na.cif,much\n")
    line = refused("data", "--data", tmp_path)
    assert_says(line, tmp_path / "targets.csv", "'a.cif' (line 2)", "field target_eV", "'much'")
    (tmp_path / "targets.csv").write_text("file,target\na.cif,0.3\n")
    assert_says(refused("data", "--data", tmp_path), "unknown column", "'target_eV'")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (settings(split="grouped"), "train split is empty"),
        (settings(split="published", batch_size=2), "validation split is empty"),
        (settings(split="random", val=0.01), "validation split is empty"),
        (settings(split="random", val=0.6, test=0.6), "train split is empty"),
        ([*settings(), "--folds", "2"], "only 1 systems"),
    ],
)
def test_empty_split(words: list[str], problem: str, tmp_path: Path) -> None:
    path = data_file(tmp_path / "one.json", count=6, per_system=6)
    line = refused("train", "--data", path, "--out", tmp_path / "run", *words)
    assert_says(line, path, problem)
    assert not (tmp_path / "run").exists()


def test_folders_that_exist(tmp_path: Path, data: Path, run: Path) -> None:
    before = (run / "model.safetensors").read_bytes()
    line = refused("train", "--data", data, "--out", run, *settings())
    assert_says(line, run, "exists", "--resume")
    assert (run / "model.safetensors").read_bytes() == before
    (tmp_path / "file").write_text("")
    refused("train", "--data", data, "--out", tmp_path / "file", *settings())
    assert_says(refused("evaluate", run, "--data", data, "--out", run), run, "exists")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--recipe", "smal"], ["'smal'", "small"]),
        (["--recipe", "none.yaml"], ["none.yaml", "no such recipe"]),
        (["--set", "hiden=3"], ["'hiden'", "did you mean 'hidden'"]),
        (["--set", "hidden"], ["key=value", "'hidden'"]),
        (["--set", "hidden=many"], ["field hidden", "whole number", "'many'"]),
        (["--set", "hidden=[1"], ["field hidden", "[1"]),
        (["--set", "epochs=0"], ["field epochs", "1 to"]),
        (["--epochs", "0"], ["field epochs", "1 to"]),
        (["--seed", "-1"], ["field seed", "0 to"]),
        (["--set", "lr=.nan"], ["field lr"]),
        (["--set", "loss=l2"], ["field loss", "l1, huber, mse"]),
        (["--set", "model=MODEL-9"], ["field model", "MODEL-3"]),
        (["--set", "freeze=stem"], ["field freeze", "'stem'", "alignn_layers"]),
        (["--set", "lr_parts={head: fast}"], ["field lr_parts", "a number", "'fast'"]),
        (["--set", "lr_parts=3"], ["field lr_parts", "pairs"]),
        (["--set", "model=MPT"], ["'small' pre-trains", "use pretrain"]),
        (["--recipe", "mpt-small"], ["'mpt-small' pre-trains", "use pretrain"]),
        (["--recipe", "transfer-all"], ["--init", "pretrained=false"]),
        (["--set", "one_path=true", "--set", "split=grouped"], ["bands.json", "split is empty"]),
        (["--init", "nowhere.safetensors"], ["nowhere.safetensors", "no such weights"]),
        (["--device", "tpu"], ["'tpu'", "cpu"]),
        (["--device", "cuda:x"], ["'cuda:x'", "cpu"]),
        (["--device", "cpu:0"], ["'cpu:0'", "cpu"]),
        (["--device", "cuda:99"], ["CUDA"]),
    ],
)
def test_options(words: list[str], told: list[str], tmp_path: Path, data: Path) -> None:
    line = refused("train", "--data", data, "--out", tmp_path / "run", *words)
    assert_says(line, *told)
    assert not (tmp_path / "run").exists()


def test_recipes_of_barriers_are_not_for_pretraining(tmp_path: Path, data: Path) -> None:
    for words in (["--recipe", "small"], ["--set", "model=MODEL-4"]):
        line = refused("pretrain", "--data", data, "--out", tmp_path / "run", *words)
        assert_says(line, "on barriers", "use train")
    assert not (tmp_path / "run").exists()


def test_no_first_path(tmp_path: Path) -> None:
    write_bands(tmp_path / "later.json", [replace(some_bands()[0], name="LiO_2")])
    words = ["--data", tmp_path / "later.json", "--out", tmp_path / "run"]
    line = refused("train", *words, *settings(one_path=True))
    assert_says(line, tmp_path / "later.json", "every record is a further path")
    assert not (tmp_path / "run").exists()


def test_recipe_files_that_build_on_nothing(tmp_path: Path, data: Path) -> None:
    mine = tmp_path / "mine.yaml"
    for text, told in (
        ("base: smal\n", ["field base", "'smal'", "small"]),
        (f"base: {mine}\n", ["field base", f"{mine} -> {mine}"]),
        ("base: small\nhiden: 3\n", ["'hiden'", "did you mean 'hidden'"]),
    ):
        mine.write_text(text)
        line = refused("train", "--data", data, "--recipe", mine, "--out", tmp_path / "run")
        assert_says(line, mine, *told)


@pytest.mark.parametrize("device", ["tpu", "cuda:99", "cuda:", ""])
def test_device_of_evaluate_and_predict(device: str, tmp_path: Path, data: Path, run: Path) -> None:
    words = ["--data", data, "--out", tmp_path / "e", "--device", device]
    for command in (["evaluate", run, *words], ["predict", data, "--weights", run, *words[4:]]):
        assert_says(refused(*command), "CUDA" if device == "cuda:99" else "known are")


def test_usage_errors_are_clicks() -> None:
    for words in (["train", "--folds", "1"], ["train", "--nonsense"], ["predict"], ["fly"]):
        assert "Usage:" in linegraph(*words, code=2).stderr


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    shown = run_quietly("data", "--data", tmp_path / "nowhere.json", "--debug")
    assert shown[0] == 2
    assert "Traceback" in shown[1]
    assert "error: " in shown[1]


def test_our_own_faults(data: Path, monkeypatch: pytest.MonkeyPatch, run: Path) -> None:
    def divide(*args: object) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr("linegraph.prediction.load_ensemble", divide)
    words = ["predict", data, "--weights", run]
    shown = linegraph(*words, code=1)
    assert shown.stderr.splitlines() == [
        "internal error: ZeroDivisionError: by nothing (--debug shows where)"
    ]
    code, err = run_quietly(*words, "--debug")
    assert code == 1
    assert "in divide" in err


def run_quietly(*words: object) -> tuple[int, str]:
    """Exit code and standard error, tracebacks allowed."""
    from click.testing import CliRunner

    from cli import main

    shown = CliRunner().invoke(main, [str(word) for word in words])
    return shown.exit_code, shown.stderr


def test_skip_bad(tmp_path: Path, data: Path, run: Path) -> None:
    changes = {1: DEFECTS["NaN coordinate"][0], 6: DEFECTS["no atoms"][0]}
    path = damaged(data, tmp_path / "bad.json", changes)
    names = [band.name for band in some_bands()]
    kept = [name for i, name in enumerate(names) if i not in changes]
    words = ["--data", path, "--skip-bad", "--out"]
    for command, out in (
        (["train", *settings(epochs=1)], tmp_path / "run"),
        (["evaluate", run], tmp_path / "evaluation"),
    ):
        shown = linegraph(*command, *words, out)
        for name, field in ((names[1], "atoms.coords"), (names[6], "atoms")):
            assert f"{name}" in shown.stderr
            assert f"field {field}" in shown.stderr
        assert "left out     2 records" in shown.stdout
        rows = table(out / "skipped.csv")
        assert [row["field"] for row in rows] == ["atoms.coords", "atoms"]
        assert [row["record"] for row in rows] == [f"'{names[i]}' (number {i + 1})" for i in (1, 6)]
        predicted = [row["sys_name"] for row in table(out / "predictions.csv")]
        assert sorted(predicted) == sorted(kept)
    shown = linegraph("data", "--data", path, "--skip-bad", "--out", tmp_path / "good.json")
    assert "10, 10 with a barrier" in shown.stdout
    assert shown.stderr.count("skipped") == 2
    assert len(json.loads((tmp_path / "good.json").read_text())) == 10


def test_skip_bad_with_nothing_left(tmp_path: Path, data: Path) -> None:
    path = damaged(data, tmp_path / "bad.json", dict.fromkeys(range(12), DEFECTS["no atoms"][0]))
    line = refused("train", "--data", path, "--skip-bad", "--out", tmp_path / "run")
    assert_says(line, path, "none of 12 records")


def test_data_is_not_written_to_a_wrong_name(tmp_path: Path, data: Path) -> None:
    shown = linegraph("data", "--data", data, "--out", tmp_path / "x.csv", code=2)
    assert_says(shown.stderr, tmp_path / "x.csv", ".json")
