"""The README's Python examples and commands are what the project does."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

import cli
from training.recipe import recipe_names
from training.starter import starter_bands

ROOT = Path(__file__).resolve().parents[1]

PAGES = ("README.md", "docs/graphs.md", "docs/kernels.md", "docs/transfer.md", "docs/judging.md",
         "docs/predict.md", "docs/screen.md", "docs/bands.md")  # fmt: skip


def blocks(file: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / file).read_text(), re.S)


@pytest.mark.parametrize(
    ("file", "number"),
    [(file, i) for file in PAGES for i in range(len(blocks(file, "python")))],
)
def test_python_examples_run(
    file: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LINEGRAPH_CACHE", str(tmp_path / "cache"))
    exec(compile(blocks(file, "python")[number], f"{file} example {number}", "exec"), {})


def test_the_two_commands_install_and_end_in_train_and_test() -> None:
    train, test = (block.strip() for block in blocks("README.md", "bash"))
    assert train.endswith("cli.py train")
    assert test.endswith("-m pytest")
    # To train nothing is needed that only tests do.
    assert train.rsplit("&&", 1)[0] == test.rsplit("&&", 1)[0].replace("'.[test]'", ".")


@pytest.mark.parametrize("page", PAGES)
def test_commands_options_and_recipes_named_exist(page: str) -> None:
    lines = [
        line.split("#")[0].split()
        for block in blocks(page, "text")
        for line in block.splitlines()
        if line.startswith("linegraph ")
    ]
    assert lines or page in ("docs/graphs.md", "docs/kernels.md")
    for words in lines:
        text = CliRunner().invoke(cli.main, [words[1], "--help"]).output
        for option in (word for word in words if word.startswith("--")):
            assert option in text, words
        for option, value in pairwise(words):
            assert option != "--recipe" or value in recipe_names()


def test_recipes_of_the_page_on_transfer_exist() -> None:
    text = (ROOT / "docs/transfer.md").read_text()
    named = set(re.findall(r"`((?:transfer|model|scratch|mpt)-[a-z0-9-]+)`", text))
    assert named <= set(recipe_names())
    paper = {name for name in recipe_names() if name.endswith("-paper")}
    assert paper <= named


def test_counts_of_the_starter_set() -> None:
    bands = starter_bands()
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert f"{len(bands)} hops" in readme
    assert f"{len({band.system for band in bands})} well-known compounds" in readme


def test_files_named_exist() -> None:
    for file in (
        *PAGES,
        "CONTRIBUTING.md",
        "docs/results.md",
        "weights/README.md",
        "benchmarks/README.md",
    ):
        for link in re.findall(r"\]\((?!http)([^)#]+)", (ROOT / file).read_text()):
            assert ((ROOT / file).parent / link).exists(), f"{file}: {link}"
