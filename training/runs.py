"""The start of a run: its folder, its graphs, and the files that say what is done with what."""

from __future__ import annotations

import csv
import importlib.metadata
import io
import platform
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linegraph import InputError
from linegraph.atomic_files import remove_unfinished
from linegraph.models import Model
from linegraph.safe_reading import read_text

from .files import holds_nothing, new_run_folder, write_csv, write_yaml
from .graphs import GraphSet, Record, load_graphs
from .held import held
from .ranks import here, one_a_machine_first
from .read import BandSet
from .recipe import Recipe
from .transfer import Freeze
from .yamlfile import read_yaml

if TYPE_CHECKING:
    from .fit import Machine

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


def source_of(bands: BandSet) -> Source:
    """Of a run on bands."""
    return Source(bands.path, bands.fingerprint, bands.bands, bands.skipped)


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

    Of several processes the first has the folder to itself, and one of every machine builds.

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
    first = here().first
    with ExitStack() as stack:
        if first:
            # Until it says whose it is.
            stack.enter_context(held(folder))
            claim_folder(folder, recipe.as_dict(), source, same, resume=resume)
        graphs = one_a_machine_first(
            lambda: graphs_of(source, model.views, recipe.graph_settings, machine)
        )
        if first:
            more = {"recipe": recipe_name, **same, **(notes or {})}
            write_config(folder, recipe.as_dict(), source, more)
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


def write_config(
    folder: Path,
    settings: Mapping[str, object],
    source: Source,
    more: Mapping[str, object],
    packages: Sequence[str] = (),
) -> None:
    """Write ``config.yaml``: what was done with which data, and by which versions.

    Args:
        folder: the run folder; exists.
        settings: all of them, as YAML holds them.
        source: of the records.
        more: what else to say, in front.
        packages: distributions the run depends on, besides :data:`PACKAGES`.

    Raises:
        InputError: the file cannot be written.
    """
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for package in (*PACKAGES, *packages):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    config = {
        **more,
        "settings": dict(settings),
        "data": {
            "path": str(source.path),
            "fingerprint": source.fingerprint,
            "records": len(source.records),
            "skipped": [str(error) for error in source.skipped],
        },
        "versions": versions,
    }
    write_yaml(folder / "config.yaml", config)


def write_skipped(folder: Path, skipped: Sequence[InputError]) -> None:
    """Write ``skipped.csv``: the records that were left out, and why; nothing if none was."""
    if skipped:
        rows = [(error.file, error.record, error.field, error.problem) for error in skipped]
        write_csv(folder / "skipped.csv", ("file", "record", "field", "problem"), rows)


def read_skipped(folder: Path) -> list[InputError]:
    """What :func:`write_skipped` wrote; nothing where there is no file.

    Raises:
        InputError: the file cannot be read.
    """
    path = folder / "skipped.csv"
    places = ("file", "record", "field")
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(path), newline="")))
        return [
            InputError(row["problem"] or "", **{key: row[key] or None for key in places})
            for row in rows
        ]
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise InputError(f"cannot be read ({error})", file=path) from error


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


def claim_folder(
    folder: Path,
    settings: Mapping[str, object],
    source: Source,
    more: Mapping[str, object],
    *,
    resume: bool,
) -> None:
    """Make the folder of a run, or check that the run in it can go on.

    With ``resume``, too, a run begins where the folder holds nothing: one that was killed early has
    left no more. What was being written when a run was killed is removed. Whoever calls this holds
    the folder (:func:`training.held.held`) until ``config.yaml`` is in it, or longer.

    Args:
        folder: must not exist or hold nothing, unless ``resume``.
        settings: as of :func:`check_same_run`, like the next two.
        source: of the records.
        more: what else must be the same.
        resume: go on with the run in the folder.

    Raises:
        InputError: a folder that exists, that is no run, that holds another one, or in which
            another run is at work.
    """
    if resume and not holds_nothing(folder):
        check_same_run(folder, settings, source, more)
    else:
        new_run_folder(folder)
    remove_unfinished(folder)


def check_same_run(
    folder: Path, settings: Mapping[str, object], source: Source, more: Mapping[str, object]
) -> None:
    """Refuse to go on with a run that was started with other settings or data.

    Args:
        folder: the run folder.
        settings: those that :func:`write_config` was given, or would be.
        source: of the records.
        more: what else the run must have in common with the one in the folder.

    Raises:
        InputError: there is no run, its ``config.yaml`` cannot be read, or it differs; the message
            lists every setting that does.
    """
    path = folder / "config.yaml"
    try:
        config = read_yaml(path)
        before, fingerprint = dict(config["settings"]), config["data"]["fingerprint"]
        before |= {key: config.get(key) for key in more}
    except FileNotFoundError:
        raise InputError("there is no run to resume", file=path) from None
    except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"cannot be read ({error})", file=path) from error
    changes = [
        change for key, value in {**settings, **more}.items()
        for change in _changes(key, before.get(key), value)
    ]  # fmt: skip
    if fingerprint != source.fingerprint:
        changes.append("the data file has changed")
    if changes:
        raise InputError("cannot resume with other settings: " + "; ".join(changes), file=path)


def _changes(key: str, before: object, now: object) -> list[str]:
    """What differs, value by value of a group of settings."""
    if isinstance(before, dict) and isinstance(now, Mapping) and before.keys() == now.keys():
        found = [_changes(f"{key}.{name}", before[name], value) for name, value in now.items()]
        return [change for changes in found for change in changes]
    return [] if before == now else [f"{key} was {before!r}, now {now!r}"]
