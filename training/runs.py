"""The start of a run: its folder, its graphs, and the files that say what is done with what."""

from __future__ import annotations

import csv
import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from linegraph import InputError
from linegraph.models import Model

from .files import new_run_folder, write_csv, write_yaml
from .fit import Machine
from .graphs import GraphSet, Record, load_graphs
from .recipe import Recipe
from .transfer import Freeze

#: Distributions whose versions a run depends on.
PACKAGES = ("linegraph", "torch", "torch-geometric", "lightning", "numpy", "vesin", "pymatgen")


@dataclass(frozen=True, eq=False)
class Source:
    """The records of a run, and where they come from.

    Attributes:
        path: file or folder.
        fingerprint: of its contents.
        records: those that are used.
        skipped: what was left out, and why.
    """

    path: Path
    fingerprint: str
    records: Sequence[Record]
    skipped: Sequence[InputError]


def start_run(
    folder: Path,
    recipe: Recipe,
    source: Source,
    model: Model,
    machine: Machine,
    *,
    recipe_name: str,
    resume: bool,
    same: Mapping[str, object],
    notes: Mapping[str, object] | None = None,
) -> GraphSet:
    """Make a run folder, or check that the run in it can go on, and get the graphs it needs.

    Args:
        folder: the run folder; must not exist, unless ``resume``.
        recipe: all settings.
        source: of the records.
        model: one of the recipe's; its weights do not matter.
        machine: where to compute.
        recipe_name: for the record.
        resume: go on with the run in the folder.
        same: what else a resumed run must have in common with this one.
        notes: for the record, too.

    Raises:
        InputError: a recipe by which nothing learns, a folder that exists or holds another run,
            a structure no graph can be made of.
    """
    _check_freeze(model, recipe)
    if resume:
        _check_same_run(folder, recipe, source, same)
    else:
        new_run_folder(folder)
    graphs = graphs_of(source, model.views, recipe.graph_settings, machine)
    _write_config(folder, recipe_name, recipe, source, {**same, **(notes or {})})
    write_skipped(folder, source.skipped)
    return graphs


def graphs_of(
    source: Source, views: tuple[str, ...], settings: dict[str, Any], machine: Machine
) -> GraphSet:
    """Graphs of all records, from the cache as far as it holds them.

    Args:
        source: of the records.
        views: graphs wanted of every record.
        settings: arguments of :func:`linegraph.views`.
        machine: where to compute.

    Raises:
        InputError: a structure no graph can be made of; the message names file and record.
    """
    try:
        return load_graphs(
            source.records,
            source.fingerprint,
            views,
            settings,
            workers=machine.workers,
            progress=machine.progress,
        )
    except InputError as error:
        raise error.at(file=source.path) from None


def _write_config(
    folder: Path, recipe_name: str, recipe: Recipe, source: Source, more: Mapping[str, object]
) -> None:
    """Write ``config.yaml``: all settings, versions, and the fingerprint of the data."""
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    config = {
        "recipe": recipe_name,
        "settings": recipe.as_dict(),
        "data": {
            "path": str(source.path),
            "fingerprint": source.fingerprint,
            "records": len(source.records),
            "skipped": [str(error) for error in source.skipped],
        },
        "versions": versions,
        **more,
    }
    write_yaml(folder / "config.yaml", config)


def write_skipped(folder: Path, skipped: Sequence[InputError]) -> None:
    """Write ``skipped.csv``: the records that were left out, and why; nothing if none was."""
    if skipped:
        rows = [(error.file, error.record, error.field, error.problem) for error in skipped]
        write_csv(folder / "skipped.csv", ("file", "record", "field", "problem"), rows)


def read_skipped(folder: Path) -> list[InputError]:
    """What :func:`write_skipped` wrote; nothing where there is no file."""
    path = folder / "skipped.csv"
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    places = ("file", "record", "field")
    return [InputError(row["problem"], **{key: row[key] or None for key in places}) for row in rows]


def _check_freeze(model: Model, recipe: Recipe) -> None:
    """Refuse a run in which nothing learns, or parts that were to learn later never do."""
    Freeze(model, recipe.freeze, recipe.unfreeze_at)
    if (until := recipe.unfreeze_at) is None:
        return
    if not recipe.freeze:
        raise InputError(f"is {until}, but no part is frozen (freeze)", field="unfreeze_at")
    if until >= recipe.epochs:
        raise InputError(
            f"the frozen parts would learn after {until} epochs, but the run has {recipe.epochs}; "
            "null keeps them frozen",
            field="unfreeze_at",
        )


def _check_same_run(
    folder: Path, recipe: Recipe, source: Source, more: Mapping[str, object]
) -> None:
    """Refuse to go on with a run that was started with other settings or data."""
    path = folder / "config.yaml"
    try:
        before = yaml.safe_load(path.read_text(encoding="utf-8"))
        settings, fingerprint = dict(before["settings"]), before["data"]["fingerprint"]
        settings |= {key: before.get(key) for key in more}
    except FileNotFoundError:
        raise InputError("there is no run to resume", file=path) from None
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"cannot be read ({error})", file=path) from error
    changes = [
        f"{key} was {settings.get(key)!r}, now {value!r}"
        for key, value in {**recipe.as_dict(), **more}.items()
        if settings.get(key) != value
    ]
    if fingerprint != source.fingerprint:
        changes.append("the data file has changed")
    if changes:
        raise InputError("cannot resume with other settings: " + "; ".join(changes), file=path)
