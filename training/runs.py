"""The files of a run folder that say what was done, and with what."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from linegraph import InputError

from .files import write_csv, write_yaml
from .recipe import Recipe

#: Distributions whose versions a run depends on.
PACKAGES = ("linegraph", "torch", "torch-geometric", "lightning", "numpy", "vesin", "pymatgen")


@dataclass(frozen=True)
class Source:
    """Where the records of a run come from.

    Attributes:
        path: file or folder.
        fingerprint: of its contents.
        records: how many were used.
        skipped: what was left out, and why.
    """

    path: Path
    fingerprint: str
    records: int
    skipped: Sequence[InputError] = field(default_factory=tuple)


def write_config(
    folder: Path, recipe_name: str, recipe: Recipe, source: Source, more: Mapping[str, object]
) -> None:
    """Write ``config.yaml``: all settings, versions, and the fingerprint of the data.

    Args:
        folder: the run folder.
        recipe_name: for the record.
        recipe: all settings.
        source: of the records.
        more: what else a resumed run must have in common with this one.
    """
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
            "records": source.records,
            "skipped": [str(error) for error in source.skipped],
        },
        "versions": versions,
        **more,
    }
    write_yaml(folder / "config.yaml", config)


def write_skipped(folder: Path, skipped: Sequence[InputError]) -> None:
    """Write ``skipped.csv``: the records that were left out, and why; nothing if none was."""
    if skipped:
        rows = [(error.record, error.field, error.problem) for error in skipped]
        write_csv(folder / "skipped.csv", ("record", "field", "problem"), rows)


def check_same_run(
    folder: Path, recipe: Recipe, source: Source, more: Mapping[str, object]
) -> None:
    """Refuse to go on with a run that was started with other settings or data.

    Raises:
        InputError: no run there, an unreadable ``config.yaml``, or differences; the message lists
            them.
    """
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
