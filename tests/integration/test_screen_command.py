"""The command ``screen``: what is shown, and how it ends."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pymatgen.core import Lattice, Structure

from tests.integration.test_predict import rows_of
from tests.linegraph.test_hops import structure
from training.console import CONTEXT, Commands
from training.screen.command import screen
from training.screen.run import screen as screen_folder
from training.screen.worker import STAGES


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One crystal in eleven sizes, another one, and a file that is none."""
    folder = tmp_path_factory.mktemp("crystals")
    for i in range(11):
        made = structure("LiF").get_primitive_structure()
        made.scale_lattice(made.volume * (1 + 0.01 * i))
        made.to(filename=str(folder / f"LiF_{i:02d}.cif"))
    structure("NaCl").get_primitive_structure().to(filename=str(folder / "POSCAR"), fmt="poscar")
    (folder / "notes.txt").write_text("to do\n")
    return folder


def run_of(*words: object) -> Result:
    group = Commands("main", commands={"screen": screen}, context_settings=CONTEXT)
    return CliRunner().invoke(group, ["screen", *map(str, words)])


def shown(*words: object, code: int = 0) -> Result:
    result = run_of(*words)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def test_top_of_the_ranking_and_counts(folder: Path, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = [folder, "--weights", weights, "--out", out, "--workers", 1, "--max-length", 4.5]
    text = shown(*words).stdout
    found = screen_folder(
        tmp_path / "same", folder, weights=weights, max_length=4.5, workers=1, progress=False
    )
    rows = rows_of(text)
    assert len(rows) == 10
    for number, (cells, row) in enumerate(zip(rows, found.ranking, strict=False), start=1):
        level = row.levels[0]
        assert row.below is not None
        assert cells[:5] == [
            str(number), row.file, row.formula, str(row.hops), f"{level.barrier:.3f}"
        ]  # fmt: skip
        assert cells[6:8] == [f"{100 * row.below:.0f} %", level.directions]
        assert cells[-1].startswith("*") == row.outside
    assert "\n12 crystals ranked, 1 failed (failures.csv)\n" in text
    (speeds,) = re.findall(r"\nstructures per second and worker: (.*)\n", text)
    assert [part.split()[0] for part in speeds.split(", ")] == list(STAGES)
    assert f"\nrun folder   {out}\n" in text
    again = shown(*words, "--resume").stdout
    assert rows_of(again) == rows
    same = tmp_path / "same" / "ranking.csv"
    assert (out / "ranking.csv").read_bytes() == same.read_bytes()


def test_how_it_ends(folder: Path, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["--weights", weights, "--workers", 1]
    nothing = shown(tmp_path / "none", *words, "--out", out, code=2)
    assert nothing.stderr == f"error: {tmp_path / 'none'}: no such folder\n"
    assert not out.exists()
    bad = tmp_path / "bad"
    bad.mkdir()
    Structure(Lattice.cubic(4), ["Cu", "O"], [[0] * 3, [0.5] * 3]).to(filename=str(bad / "a.cif"))
    ended = shown(bad, *words, "--out", out, code=1)
    assert "0 crystals ranked, 1 failed" in ended.stdout
    assert f"no structure could be used; {out / 'failures.csv'} has why" in ended.stderr
    again = shown(bad, *words, "--out", out, code=2)
    assert "--resume" in again.stderr
    debugged = run_of(bad, *words, "--out", out, "--resume", "--debug")
    assert "a.cif: Traceback (most recent call last):\n" in debugged.stderr
    other = shown(bad, *words, "--out", out, "--resume", "--ion", "O", code=2)
    assert "ion was None, now 'O'" in other.stderr
    assert "--resume needs --out" in shown(folder, *words, "--resume", code=2).stderr


def test_without_intervals(folder: Path, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    text = shown(folder, "--weights", run, "--out", out, "--workers", 1).stdout
    assert "% interval" not in text
    assert "\nno intervals: " in text
    table = [line.split(",") for line in (out / "ranking.csv").read_text().splitlines()]
    empty = [i for i, name in enumerate(table[0]) if name.startswith(("low", "level", "outside"))]
    assert {row[i] for row in table[1:] for i in empty} == {""}


@pytest.mark.parametrize(
    "words", [["--level", 1], ["--threshold", 0], ["--workers", 0], ["--max-length", 21]]
)
def test_usage(words: list[object], folder: Path) -> None:
    text = shown(folder, *words, code=2).stderr
    assert "Usage:" in text
    assert str(words[0]) in text


def test_help() -> None:
    text = shown("--help").stdout
    assert "[default: the weights shipped]" in text
    assert "[default: one for each core]" in text
