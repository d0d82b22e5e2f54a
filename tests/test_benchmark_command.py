"""The command ``benchmark``: what it lists, refuses, measures and writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from benchmarks import memory, registry, timing
from benchmarks.compare import Case, Options, Side, Workload
from benchmarks.memory import Memory
from benchmarks.peers import needs_dgl, needs_published
from cli import main
from tests.bands import data_file


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "REST", 0.0)
    monkeypatch.setattr(timing, "SHORTEST", 0.0)


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["benchmark", *(str(word) for word in words)])


def toy(theirs: float = 2.0, *, why: str = "", same: bool = True) -> Workload:
    """Ours says 2; ``theirs`` is what the other side says, ``why`` it is missing."""
    return toy_of({"ours": lambda: 2.0, "theirs": lambda: theirs}, why=why, same=same)


def toy_of(runs: dict[str, Callable[[], Any]], *, why: str = "", same: bool = True) -> Workload:
    def cases(options: Options) -> Iterator[Case]:
        yield Case(
            name="two",
            sizes={"atoms": 4},
            runs=runs,
            difference=lambda a, b: abs(a - b),
            tolerance=0.25,
            work={"ours": 1.0, "theirs": 10.0},
            figures=lambda results: {"sum": sum(results.values())},
        )

    sides = (
        Side("ours", "says two"),
        Side("theirs", "says something", lambda options: why, same, "which counts otherwise"),
    )
    return Workload("toy", "saying two", sides, cases, rates=("atoms",))


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[Workload], None]:
    """Make a workload the only one there is."""

    def install(workload: Workload) -> None:
        monkeypatch.setattr(registry, "MODULES", {"toy": __name__})
        monkeypatch.setitem(globals(), "WORKLOAD", workload)

    return install


def test_list_names_sides_and_what_to_install(use: Callable[[Workload], None]) -> None:
    use(toy(why="no module; pip install theirs"))
    shown = run()
    assert shown.exit_code == 0
    assert "saying two" in shown.output and "says something" in shown.output
    assert shown.output.count("not here") == 1
    assert "not here: no module; pip install theirs" in shown.output


def test_every_workload_is_listed() -> None:
    shown = run()
    assert shown.exit_code == 0, shown.output
    for name in registry.MODULES:
        workload = registry.load_workload(name)
        assert workload.name == name
        assert f"{name:<12}{workload.summary}" in shown.output


def test_unknown_workload_is_an_error_that_lists_the_known() -> None:
    shown = run("bild")
    assert shown.exit_code == 2
    assert shown.output == (f"error: no workload 'bild'; known are {', '.join(registry.MODULES)}\n")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_a_device_is_an_error() -> None:
    shown = run("scaling", "--quick", "--device", "cuda")
    assert shown.exit_code == 2
    assert "no CUDA device is available here" in shown.output


def test_device_a_workload_does_not_know_is_an_error(
    use: Callable[[Workload], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    use(toy())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    shown = run("toy", "--device", "cuda")
    assert shown.exit_code == 2
    assert "toy runs on cpu only" in shown.output


@pytest.mark.parametrize("theirs", [2.5, float("nan"), float("inf")])
def test_a_side_that_differs_ends_the_run(
    theirs: float, use: Callable[[Workload], None], tmp_path: Path
) -> None:
    use(toy(theirs))
    shown = run("toy", "--quick", "--out", tmp_path / "out")
    assert shown.exit_code == 1
    assert f"toy, two: theirs differs from ours by {abs(theirs - 2.0):.3g}" in shown.output
    assert "allowed: 0.25" in shown.output
    assert list((tmp_path / "out").iterdir()) == []


def test_a_side_within_tolerance_is_timed(use: Callable[[Workload], None]) -> None:
    use(toy(2.125))
    shown = run("toy", "--quick")
    assert shown.exit_code == 0, shown.output
    assert "Same numbers before timing: theirs, largest difference 1.2e-01" in shown.output


def test_a_side_that_computes_something_else_by_design_is_timed_and_named(
    use: Callable[[Workload], None],
) -> None:
    use(toy(99.0, same=False))
    shown = run("toy", "--quick")
    assert shown.exit_code == 0, shown.output
    assert "Other numbers by design: theirs, which counts otherwise." in shown.output


def test_a_missing_side_is_left_out_and_says_what_to_install(
    use: Callable[[Workload], None],
) -> None:
    def fail() -> float:
        raise AssertionError("ran although it is not here")

    use(toy_of({"ours": lambda: 2.0, "theirs": fail}, why="pip install theirs"))
    shown = run("toy", "--quick")
    assert shown.exit_code == 0, shown.output
    assert "Not here: theirs (pip install theirs)." in shown.output
    assert "theirs / ours" not in shown.output


def test_report_and_numbers_are_written(use: Callable[[Workload], None], tmp_path: Path) -> None:
    use(toy())
    shown = run("toy", "--quick", "--out", tmp_path, "--hidden", 7)
    text = (tmp_path / "toy.md").read_text(encoding="utf-8")
    assert text in shown.output
    assert text.startswith("## toy: saying two")
    # Ratios stand above the times they are made of.
    assert 0 < text.index("theirs / ours") < text.index("Milliseconds")
    found = json.loads((tmp_path / "toy.json").read_text(encoding="utf-8"))
    assert found["options"]["quick"] is True and found["options"]["hidden"] == 7
    assert {"cpu", "cores", "threads", "load", "versions"} <= set(found["machine"])
    assert found["machine"]["versions"]["torch"] == torch.__version__
    (case,) = found["cases"]
    assert case["sizes"] == {"atoms": 4}
    assert case["figures"] == {"sum": 4.0}
    assert case["differences"] == {"theirs": 0.0}
    times = case["times"]
    assert times["ours"]["rounds"] >= timing.FEWEST_ROUNDS
    # Ten times the work: ten times the time would be the same cost.
    expected = times["theirs"]["wall"] / times["ours"]["wall"] / 10
    assert case["ratios"]["theirs"]["wall"] == pytest.approx(expected)


def test_memory_is_reported_where_a_workload_asks_for_it(
    use: Callable[[Workload], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def peak(workload: str, case: str, side: str, options: Options) -> Memory:
        if side == "late":
            raise RuntimeError("status -9")
        return Memory(0, {"ours": 2, "theirs": 6}[side] << 20)

    sides = (*toy().sides, Side("late", "takes all there is"))
    runs: dict[str, Callable[[], Any]] = {side.name: lambda: 2.0 for side in sides}
    use(replace(toy_of(runs), sides=sides, memory=True))
    monkeypatch.setattr(memory, "peak_memory", peak)
    monkeypatch.setattr(timing, "MOST_ROUNDS", timing.FEWEST_ROUNDS)
    shown = run("toy", "--out", tmp_path)
    assert shown.exit_code == 0, shown.output
    assert "6 (3)" in shown.output and "no memory of late: status -9." in shown.output
    (case,) = json.loads((tmp_path / "toy.json").read_text())["cases"]
    assert case["memory_mib"] == {"ours": 2.0, "theirs": 6.0}


@pytest.mark.parametrize("name", ["build", "scaling", "loading", "epoch"])
def test_quick_runs(name: str, tmp_path: Path) -> None:
    data = data_file(tmp_path / "bands.json", 6)
    shown = run(name, "--quick", "--data", data, "--out", tmp_path)
    assert shown.exit_code == 0, shown.output
    (case, *_) = json.loads((tmp_path / f"{name}.json").read_text())["cases"]
    assert all(times["wall"] > 0 for times in case["times"].values())


@pytest.mark.skipif(
    bool(needs_published(Options())), reason="alignn, whose builder is compared, is not installed"
)
def test_quick_build_with_peers(tmp_path: Path) -> None:
    data = data_file(tmp_path / "bands.json", 2)
    shown = run("build", "--quick", "--data", data, "--out", tmp_path)
    assert shown.exit_code == 0, shown.output
    (case,) = json.loads((tmp_path / "build.json").read_text())["cases"]
    expected = {"reference"} if needs_dgl(Options()) else {"reference", "dgl"}
    assert set(case["differences"]) == expected
    assert max(case["differences"].values()) < 1e-5
    assert case["ratios"]["reference"]["cpu"] > 1
