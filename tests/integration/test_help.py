"""What the command line says about itself."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from cli import main
from tests.integration.command import ROOT, linegraph
from training.recipe import recipe_names

COMMANDS = (
    "train", "pretrain", "evaluate", "predict", "hops", "data", "convert", "recipes", "benchmark",
    "baseline", "neb", "report", "screen",
)  # fmt: skip


def test_recipes_command(tmp_path: Path) -> None:
    shown = linegraph("recipes").output
    for name in recipe_names():
        assert f"\n{name} " in f"\n{shown}"
        text = linegraph("recipes", name).output
        # What is shown is a recipe again.
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        assert linegraph("recipes", path).output == text


@pytest.mark.parametrize("name", COMMANDS)
def test_help(name: str) -> None:
    command = main.commands[name]
    text = linegraph(name, "--help").output
    assert command.help
    for parameter in command.params:
        if not isinstance(parameter, click.Option):
            continue
        assert parameter.help, f"{name}: {parameter.name} has no help"
        assert parameter.opts[0] in text
        # What has no default says so in other words (a sentinel, in some versions of click).
        if isinstance(parameter.default, str | float) and not parameter.is_flag:
            assert f"[default: {parameter.default}" in " ".join(text.split())
    assert not re.search(r"\[default: [^]]*\] +\[default", " ".join(text.split()))
    assert "--debug" in text
    if name == "predict":
        assert "eV" in text


def test_no_command_is_untested() -> None:
    assert set(main.commands) == set(COMMANDS)
    text = linegraph("--help").output
    for name in COMMANDS:
        assert re.search(rf"^  {name} +\w", text, re.M)


def test_train_and_pretrain_share_their_options() -> None:
    options = {
        name: {p.opts[0]: p.help for p in main.commands[name].params if isinstance(p, click.Option)}
        for name in ("train", "pretrain")
    }
    shared = options["train"].items() & options["pretrain"].items()
    assert {option for option, _ in shared} == {
        "--out", "--recipe", "--set", "--epochs", "--seed", "--resume", "--skip-bad", "--device",
        "--workers", "--debug",
    }  # fmt: skip
    assert set(options["train"]) - set(options["pretrain"]) == {
        "--init", "--folds", "--leave-out", "--repeats", "--train-fraction", "--neb",
        "--neb-column",
    }  # fmt: skip
    assert set(options["pretrain"]) - set(options["train"]) == {"--drop", "--strict-split"}


def test_installed_command() -> None:
    script = Path(sys.executable).with_name("linegraph")
    if not script.is_file():
        pytest.skip("linegraph is not installed next to this Python")
    shown = [
        subprocess.run(
            [*map(str, words), "train", "--help"], capture_output=True, text=True, check=True
        ).stdout
        for words in ([script], [sys.executable, ROOT / "cli.py"])
    ]
    assert shown[0] == shown[1].replace("cli.py", "linegraph")
