"""What a report is about: runs and tables with labels, checked against each other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os.path import isdir
from pathlib import Path
from typing import Any

import numpy as np

from linegraph.errors import InputError
from linegraph.safe_reading import read_text
from training.yamlfile import parse_yaml

from .facts import Facts
from .predictions import NO_TRAINING, Predictions, read_run, read_table

#: Targets of one record may differ by so much (eV): files are rounded.
SAME_TARGET = 1e-4

#: Splits that a model has learned from, or was chosen by.
SEEN = ("train", "val")


@dataclass(frozen=True, eq=False)
class Entry:
    """The predictions of one model.

    Attributes:
        label: what it is called on the page, unlike any other.
        predictions: all of them, also those without a target.
        trained: whether it has learned from barriers.
        config: ``config.yaml`` of its run folder; empty for a table.
        metrics: ``metrics.json`` of its run folder; empty for a table.
    """

    label: str
    predictions: Predictions
    trained: bool
    config: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)

    @property
    def held(self) -> Predictions:
        """Labelled records it can be judged by: held out, or all if it never learned."""
        labelled = self.predictions.labelled()
        if not self.trained:
            return labelled
        return labelled.rows(np.array([s not in SEEN for s in labelled.split], dtype=bool))

    @property
    def fitted(self) -> Predictions:
        """Labelled records it has been fitted to."""
        labelled = self.predictions.labelled()
        return (
            labelled.of("train") if self.trained else labelled.rows(np.zeros(len(labelled), bool))
        )


def of_records(predictions: Predictions, names: Iterable[str]) -> Predictions:
    """The rows of the named records."""
    wanted = set(names)
    return predictions.rows(np.array([name in wanted for name in predictions.names], dtype=bool))


def gather(
    runs: Sequence[tuple[str, Path]],
    untrained: Sequence[tuple[str, Path]],
    facts: Mapping[str, Facts],
) -> list[Entry]:
    """Read everything, and check that it belongs together.

    Args:
        runs: label or "", and run folder or CSV file, of models that learned from barriers.
        untrained: the same of methods that did not.
        facts: of the records of the data; fills in what a table does not say. May be empty.

    Returns:
        In the order given; a table of several columns is several entries.

    Raises:
        InputError: nothing given or nothing labelled, a label twice, two targets for one record,
            or a file that cannot be read.
    """
    found: list[Entry] = []
    for trained, given in ((True, runs), (False, untrained)):
        for label, path in given:
            found.extend(_read(label, Path(path), trained, facts))
    if not found:
        raise InputError("there is nothing to report on: name a run folder or a CSV file")
    paths: dict[str, Path] = {}
    for entry in found:
        if entry.label in paths:
            raise InputError(
                f"two models are called {entry.label!r}, this and the one of "
                f"{paths[entry.label]}; give one of them another label",
                file=entry.predictions.path,
            )
        paths[entry.label] = entry.predictions.path
    _check_targets(found, facts)
    if not any(len(entry.predictions.labelled().names) for entry in found):
        raise InputError(
            "no prediction has a known barrier to compare with", file=found[0].predictions.path
        )
    return found


def _read(label: str, path: Path, trained: bool, facts: Mapping[str, Facts]) -> list[Entry]:
    if isdir(path):
        name = label or path.resolve().name
        config = _mapping(path / "config.yaml", parse_yaml)
        metrics = _mapping(path / "metrics.json", json.loads)
        read = read_run(path, name)
        learned = trained and read.protocol != NO_TRAINING
        return [Entry(name, _completed(read, facts), learned, config, metrics)]
    targets = {name: f.target for name, f in facts.items() if f.target is not None}
    columns = read_table(path, trained=trained, targets=targets)
    found = []
    for one in columns:
        name = f"{label} {one.name}" if label and len(columns) > 1 else label or one.name
        found.append(Entry(name, _completed(replace(one, name=name), facts), trained))
    return found


def _mapping(path: Path, parse: Callable[[str], Any]) -> dict[str, Any]:
    """A file of a run folder; nothing where there is none."""
    try:
        found = parse(read_text(path))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot be read ({error})", file=path) from error
    if not isinstance(found, dict):
        raise InputError("expected values by name", file=path)
    return found


def _completed(p: Predictions, facts: Mapping[str, Facts]) -> Predictions:
    """With the targets, ions and classes that only the data know, and the compounds of the data."""
    known = [facts.get(name) for name in p.names]
    target = p.target.copy()
    for i, f in enumerate(known):
        if np.isnan(target[i]) and f is not None and f.target is not None:
            target[i] = f.target
    return replace(
        p,
        target=target,
        system=[f.system if f else s for s, f in zip(p.system, known, strict=True)],
        family=[s or (f.family if f else "") for s, f in zip(p.family, known, strict=True)],
        ion=[s or (f.ion if f else "") for s, f in zip(p.ion, known, strict=True)],
    )


def _check_targets(entries: Sequence[Entry], facts: Mapping[str, Facts]) -> None:
    """Refuse two barriers for one record."""
    first = {n: (f.target, "the data") for n, f in facts.items() if f.target is not None}
    for entry in entries:
        p = entry.predictions.labelled()
        for name, target in zip(p.names, p.target.tolist(), strict=True):
            other, source = first.setdefault(name, (target, entry.label))
            if abs(other - target) > SAME_TARGET:
                raise InputError(
                    f"{entry.label} has {target:g} eV, {source} has {other:g} eV: they were not "
                    "judged by the same barriers",
                    file=p.path,
                    record=repr(name),
                    field="target_eV",
                )
