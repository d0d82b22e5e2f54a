"""Recipes: cases, and how they are read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import yaml

from training.recipe import load_recipe

from .case import Reader
from .damage import damaged
from .documents import spoiled, spoiled_yaml
from .odd import odd_files


def damage_file(file: Path, random: Random) -> None:
    """Damage the values of a file, if it is JSON or YAML, or its bytes."""
    data = file.read_bytes()
    if file.suffix == ".json" and random.randrange(3):
        file.write_bytes(spoiled(json.loads(data), random))
    elif file.suffix == ".yaml" and random.randrange(3):
        file.write_bytes(spoiled_yaml(yaml.safe_load(data), random))
    else:
        file.write_bytes(damaged(data, random))


RECIPE: dict[str, Any] = {
    "base": "small", "summary": "mine", "model": "MODEL-4", "hidden": 32, "lr": 1e-3,
    "freeze": ["embeddings"], "lr_parts": {"head": 2.0}, "clip": None, "split": "random",
    "drop": ["gv"], "one_path": True,
}  # fmt: skip


def _recipe(folder: Path, random: Random) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(RECIPE, sort_keys=False), "utf-8")
    damage_file(path, random)
    return path


def _yaml(text: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / "recipe.yaml"
        path.write_text(text, "utf-8")
        return path

    return make


def _load(path: Path) -> None:
    load_recipe(str(path))


_LAUGHS = "a0: &a0 [lol, lol]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)
_MERGES = "a0: &a0 {k: 1}\n" + "".join(
    f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 12)
)


def _chain(folder: Path) -> Path:
    for number in range(2000):
        (folder / f"r{number}.yaml").write_text(f"base: r{number + 1}.yaml\n")
    return folder / "r0.yaml"


RECIPES: dict[str, Callable[[Path], Path]] = {
    "untouched": _yaml(yaml.safe_dump(RECIPE)),
    "code in a tag": _yaml("lr: !!python/object/apply:os.system ['touch evil']\n"),
    "code in a tag, new": _yaml("lr: !!python/object/new:os.system ['touch evil']\n"),
    "a module in a tag": _yaml("lr: !!python/module:this\n"),
    "billion laughs": _yaml(_LAUGHS),
    "billion laughs as a value": _yaml(_LAUGHS.replace("a11:", "lr:")),
    "billion merges": _yaml(_MERGES),
    "a list in itself": _yaml("lr: &a [*a]\n"),
    "nested 100,000 deep": _yaml("lr: " + "[" * 100_000),
    "nested blocks": _yaml("".join(" " * i + "a:\n" for i in range(2000))),
    "1 MB of keys": _yaml("".join(f"k{i}: 1\n" for i in range(100_000))),
    "20 MB": _yaml("summary: " + "x" * 20_000_000),
    "base upwards": _yaml("base: ../../../../../../etc/passwd\n"),
    "base as a path": _yaml("base: ../../../../../../etc/passwd.yaml\n"),
    "base of /dev/zero": _yaml("base: /dev/zero\n"),
    "base is itself": _yaml("base: recipe.yaml\n"),
    "base with NUL": _yaml('base: "a\\0.yaml"\n'),
    "base of 5,000 letters": _yaml(f"base: {'x' * 5000}.yaml\n"),
    "base of 5,000 letters by name": _yaml(f"base: {'x' * 5000}\n"),
    "2,000 bases": _chain,
}


READERS = (Reader("recipe", "files", _recipe, _load, {**RECIPES, **odd_files("r.yaml")}, 2.0),)
