"""Recipe files that build on files beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from linegraph import InputError
from tests.errors import message_of
from training.recipe import load_recipe


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of recipes, which is not where the program runs."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    (tmp_path / "recipes" / "more").mkdir(parents=True)
    return tmp_path / "recipes"


@pytest.mark.parametrize("relative", [False, True])
def test_a_base_is_looked_for_beside_its_recipe(folder: Path, relative: bool) -> None:
    (folder / "base.yaml").write_text("base: small\nlr: 0.5\n")
    (folder / "more" / "mine.yml").write_text("base: ../base.yaml\nepochs: 3\n")
    (folder / "last.yaml").write_text("base: more/mine.yml\nseed: 7\n")
    Path("base.yaml").write_text("lr: 0.25\n")  # in the working directory: another one
    where = Path("../recipes") if relative else folder
    found = load_recipe(str(where / "last.yaml"))
    assert found == load_recipe("small").changed({"lr": 0.5, "epochs": 3, "seed": 7, "summary": ""})


def test_a_missing_base_is_named_where_it_should_be(folder: Path) -> None:
    (folder / "mine.yaml").write_text("base: base.yaml\n")
    Path("base.yaml").write_text("lr: 0.25\n")
    message = message_of(lambda: load_recipe(str(folder / "mine.yaml")))
    asked = folder / "mine.yaml"
    assert message == f"{folder / 'base.yaml'}: no such recipe file; it is the base of {asked}"


def test_a_circle_is_found_by_any_path(folder: Path) -> None:
    (folder / "a.yaml").write_text("base: more/b.yaml\n")
    (folder / "more" / "b.yaml").write_text("base: ../a.yaml\n")
    with pytest.raises(InputError, match=r"based on each other: .*a\.yaml -> .*b\.yaml -> .*a\."):
        load_recipe(str(folder / "a.yaml"))
