"""The README's Python examples and commands are what the project does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import cli
from training.starter import starter_bands

ROOT = Path(__file__).resolve().parents[1]


def blocks(file: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / file).read_text(), re.S)


@pytest.mark.parametrize(
    ("file", "number"),
    [
        (file, i)
        for file in ("README.md", "docs/graphs.md")
        for i in range(len(blocks(file, "python")))
    ],
)
def test_python_examples_run(
    file: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LINEGRAPH_CACHE", str(tmp_path / "cache"))
    exec(compile(blocks(file, "python")[number], f"{file} example {number}", "exec"), {})


def test_the_two_commands_install_alike_and_end_in_train_and_test() -> None:
    train, test = (block.strip() for block in blocks("README.md", "bash"))
    assert train.endswith("cli.py train")
    assert test.endswith("-m pytest")
    assert train.rsplit("&&", 1)[0] == test.rsplit("&&", 1)[0]


def test_commands_and_options_named_exist() -> None:
    lines = [line for line in blocks("README.md", "text")[1].splitlines() if line]
    for line in lines:
        words = line.split("#")[0].split()
        assert words[0] == "linegraph"
        text = CliRunner().invoke(cli.main, [words[1], "--help"]).output
        for option in (word for word in words if word.startswith("--")):
            assert option in text, line


def test_counts_of_the_starter_set() -> None:
    bands = starter_bands()
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert f"{len(bands)} hops" in readme
    assert f"{len({band.system for band in bands})} well-known compounds" in readme


def test_files_named_exist() -> None:
    for file in ("README.md", "CONTRIBUTING.md", "docs/graphs.md", "benchmarks/README.md"):
        for link in re.findall(r"\]\((?!http)([^)#]+)", (ROOT / file).read_text()):
            assert ((ROOT / file).parent / link).exists(), f"{file}: {link}"
