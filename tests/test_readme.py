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

#: Every page of the repository. A clone has nothing else where pages are.
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md", "training/**/*.md", "weights/*.md")
    for path in ROOT.glob(pattern)
)


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


def commands(page: str) -> list[list[str]]:
    """Commands of ours in the blocks of a page, word by word."""
    blocks_ = (block.replace("\\\n", " ") for block in blocks(page, "text"))
    lines = (line.split("#")[0] for block in blocks_ for line in block.splitlines())
    ours = (re.match(r"(?:linegraph|python cli\.py) +(.*)", line) for line in lines)
    return [found[1].split() for found in ours if found]


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)])
def test_commands_options_and_recipes_named_exist(page: str) -> None:
    for words in commands(page):
        text = CliRunner().invoke(cli.main, [words[0], "--help"]).output
        for option in (word for word in words if word.startswith("--")):
            assert option in text, words
        for option, value in pairwise(words):
            assert option != "--recipe" or value in recipe_names()


def test_a_command_over_two_lines_is_one() -> None:
    made = commands("docs/training.md")[0]
    assert (made[0], made[-1]) == ("train", "mace_neb_relax_eV")


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


def anchors(page: Path) -> set[str]:
    """What headings of a page can be linked by, as GitHub makes it of them."""
    headings = re.findall(r"^#+ +(.*)", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-") for text in headings}


@pytest.mark.parametrize("page", PAGES)
def test_files_and_headings_named_exist(page: str) -> None:
    here = ROOT / page
    for link in re.findall(r"\]\((?!http)([^)\s]+)", here.read_text()):
        name, _, heading = link.partition("#")
        target = here.parent / name if name else here
        assert target.exists(), link
        assert not heading or heading in anchors(target), link


def test_readme_gives_the_errors_of_the_results() -> None:
    results = (ROOT / "docs/results.md").read_text()
    (section,) = re.findall(r"^## BAND-1\n(.*?)^## ", results, re.M | re.S)
    fresh = dict(re.findall(r"^\| \**([\w-]+)\** \| \**(0\.\d+)", section, re.M))
    (beside,) = re.findall(r"seeds above that has \*\*(0\.\d+)", section)
    (other,) = re.findall(r"seed 123, BAND-1 \((0\.\d+)", section)
    (table,) = re.findall(r"^\| model \| n \|.*?\n\n", results, re.M | re.S)[:1]
    networks = re.findall(r"^\| MODEL-[^|]*\| 559 \| (0\.\d+)", table, re.M)
    readme = " ".join((ROOT / "README.md").read_text().split())
    for text in (
        f"mean absolute error is {fresh['BAND-1']} eV, that of the best classical model we know "
        f"{fresh['path-trees']} eV on the same folds, and its own {beside} eV",
        f"has {other} eV, and the published networks, at the size we could train, "
        f"{min(networks)} to {max(networks)} eV",
    ):
        assert text in readme
