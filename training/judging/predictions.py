"""Predictions as they lie in files: of run folders, old and new, and in tables of any origin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from os.path import isfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linegraph.errors import InputError

from ..protocols import Protocol
from ..records import system_of
from ..yamlfile import read_yaml
from .tables import Line, read_lines

FloatArray = NDArray[np.float64]

#: What runs are called that learn nothing from barriers.
NO_TRAINING = "no training"

#: What tables are called that do not say how their maker parted the records.
AS_GIVEN = "as given"

#: Columns in eV that are no model's.
_TARGETS = ("target_eV", "em_eV")
_STD = "std_eV"


@dataclass(frozen=True, eq=False)
class Predictions:
    """What one model says: one row a record, split and seed.

    Attributes:
        name: of the model or run.
        protocol: how records were held out, in words (:attr:`training.protocols.Protocol.name`);
            ``no training`` for methods that learn nothing from barriers, ``as given`` or empty
            where the files do not tell.
        train_fraction: fraction of the training records that was used.
        path: the run folder or table.
        names: of the records.
        split: train, val, test, or all where nothing is said.
        system: compound of each.
        family: material class, empty if unknown.
        ion: symbol of the migrating ion, empty if unknown.
        fold: label of the fold, empty for one split.
        seed: of split and model.
        target: ``[n]`` barriers in eV, NaN where not known.
        prediction: ``[n]`` in eV, always finite.
        std: ``[n]`` standard deviations of the predictions in eV, NaN where not known.
    """

    name: str
    protocol: str
    train_fraction: float
    path: Path
    names: list[str]
    split: list[str]
    system: list[str]
    family: list[str]
    ion: list[str]
    fold: list[str]
    seed: list[int]
    target: FloatArray
    prediction: FloatArray
    std: FloatArray

    def __len__(self) -> int:
        return len(self.names)

    def of(self, split: str) -> Predictions:
        """Its rows of one split."""
        return self.rows(np.array([one == split for one in self.split], dtype=bool))

    def labelled(self) -> Predictions:
        """Its rows with a target."""
        return self.rows(np.isfinite(self.target))

    def rows(self, kept: NDArray[np.bool_]) -> Predictions:
        """Some of its rows.

        Args:
            kept: ``[n]``, which.
        """
        part: dict[str, Any] = {}
        for field in fields(self):
            values = getattr(self, field.name)
            if isinstance(values, np.ndarray):
                part[field.name] = values[kept]
            elif isinstance(values, list):
                part[field.name] = [v for v, keep in zip(values, kept, strict=True) if keep]
        return replace(self, **part)


def read_run(path: Path, name: str = "") -> Predictions:
    """The predictions of a run folder.

    Older runs say less: the fold is then that of the ``fold-*`` folder which holds the record, and
    the seed that of ``config.yaml``.

    Args:
        path: the run folder.
        name: what to call it; by default as the folder.

    Raises:
        InputError: no or unreadable ``predictions.csv`` or ``config.yaml``; the message names
            file, line and column.
    """
    path = Path(path)
    table = path / "predictions.csv"
    if not isfile(table):
        raise InputError("there are no predictions", file=table)
    columns, lines = read_lines(table, ("sys_name", "split", "prediction_eV"))
    config = _config(path / "config.yaml")
    protocol, fraction = _protocol(config, path / "config.yaml")
    folds = {} if "fold" in columns else _folds(path)
    seed = config.get("settings", {}).get("seed", 0)
    found = _predictions(lines, "prediction_eV", table, seed if isinstance(seed, int) else 0)
    if missing := [line for line in lines if not line["prediction_eV"]]:
        raise missing[0].error("is empty", "prediction_eV")
    held_out = [split == "test" for split in found.split]
    return replace(
        found,
        name=name or path.resolve().name,
        protocol=protocol,
        train_fraction=fraction,
        path=path,
        fold=[
            folds.get(record, "") if out and folds else fold
            for record, out, fold in zip(found.names, held_out, found.fold, strict=True)
        ],
    )


def read_table(
    path: Path, *, trained: bool = True, targets: Mapping[str, float] | None = None
) -> list[Predictions]:
    """The predictions in a table, one model a column.

    A column whose name ends in ``_eV`` holds predictions, and a record whose cell is empty there is
    not predicted; ``target_eV`` or ``em_eV`` holds targets, and ``std_eV`` the standard deviations
    of ``prediction_eV`` or of the only model. ``split``, ``system``, ``class``, ``ion`` (or
    ``migrating_ion``), ``fold`` and ``seed`` are read where they are there.

    Args:
        path: a CSV file with ``sys_name``.
        trained: the models have learned from barriers.
        targets: barriers in eV of records for which the table has none.

    Returns:
        The models in the order of the columns, without those that predict no record.

    Raises:
        InputError: an unreadable file, or no column with predictions; the message names file, line
            and column.
    """
    path = Path(path)
    columns, lines = read_lines(path, ("sys_name",))
    models = [c for c in columns if c.endswith("_eV") and c not in (*_TARGETS, _STD)]
    models = [column for column in models if any(line[column] for line in lines)]
    if not models:
        raise InputError("no column *_eV with predictions", file=path)
    spread = "prediction_eV" if "prediction_eV" in models else models[0]
    if _STD in columns and spread != "prediction_eV" and len(models) > 1:
        raise InputError(f"of which model: {', '.join(models)}?", file=path, field=_STD)
    found = []
    for column in models:
        one = _predictions(lines, column, path)
        known = np.array([(targets or {}).get(record, np.nan) for record in one.names])
        found.append(
            replace(
                one,
                protocol=AS_GIVEN if trained else NO_TRAINING,
                target=np.where(np.isfinite(one.target), one.target, known),
                std=one.std if column == spread else np.full(len(one), np.nan),
            )
        )
    return found


def _predictions(
    lines: Sequence[Line], column: str, path: Path, default_seed: int = 0
) -> Predictions:
    """One model's rows of a table: those that are not empty."""
    given = [line for line in lines if line[column]]
    seeds = [_seed(line, default_seed) for line in given]
    splits = [line["split"] or "all" for line in given]
    seen: dict[tuple[str, str, int], Line] = {}
    for line, split, seed in zip(given, splits, seeds, strict=True):
        if first := seen.get((line["sys_name"], split, seed)):
            raise line.error(f"the record is predicted in line {first.number}, too", "sys_name")
        seen[line["sys_name"], split, seed] = line
    return Predictions(
        name=column.removesuffix("_eV"),
        protocol="",
        train_fraction=1.0,
        path=path,
        names=[line["sys_name"] for line in given],
        split=splits,
        system=[line["system"] or system_of(line["sys_name"]) for line in given],
        family=[line["class"] for line in given],
        ion=[line["ion"] or line["migrating_ion"] for line in given],
        fold=[line["fold"] for line in given],
        seed=seeds,
        target=np.array([_target(line) for line in given], dtype=np.float64),
        prediction=np.array([line.number_in(column) for line in given], dtype=np.float64),
        std=np.array([_std(line) for line in given], dtype=np.float64),
    )


def _target(line: Line) -> float:
    return next((line.number_in(column) for column in _TARGETS if line[column]), np.nan)


def _std(line: Line) -> float:
    if not line[_STD]:
        return np.nan
    value = line.number_in(_STD)
    if value < 0:
        raise line.error(f"{line[_STD]!r} is negative", _STD)
    return value


def _seed(line: Line, default: int) -> int:
    text = line["seed"]
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        raise line.error(f"expected a whole number, got {text!r}", "seed") from None


def _config(path: Path) -> dict[str, Any]:
    """``config.yaml`` of a run; nothing where there is none, as beside an evaluation."""
    try:
        config = read_yaml(path)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read ({error})", file=path) from error
    if not isinstance(config, dict) or not isinstance(config.get("settings", {}), dict):
        raise InputError("is no record of a run's settings", file=path)
    return config


def _protocol(config: Mapping[str, Any], path: Path) -> tuple[str, float]:
    """The protocol's name and training fraction; of older runs, from their number of folds."""
    if "protocol" not in config:
        if "folds" not in config:
            return "", 1.0
        split = config.get("settings", {}).get("split", "grouped")
        return Protocol(folds=config["folds"] or 0, split=split).name, 1.0
    found = config["protocol"]
    try:
        name, fraction = found["name"], float(found.get("train_fraction", 1.0))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InputError("tells no protocol's name", file=path, field="protocol") from None
    return str(name), fraction


def _folds(path: Path) -> dict[str, str]:
    """The fold that held each record out, by the record's name."""
    folds: dict[str, str] = {}
    for table in sorted(path.glob("fold-*/predictions.csv")):
        _, lines = read_lines(table, ("sys_name", "split"))
        label = table.parent.name.removeprefix("fold-")
        folds |= {line["sys_name"]: label for line in lines if line["split"] == "test"}
    return folds
