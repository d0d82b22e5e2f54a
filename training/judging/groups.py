"""Runs of one protocol, what they are compared with, and the folds they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from linegraph.errors import InputError
from training.bands import Band
from training.report import trivial_for

from .facts import Facts
from .inputs import SEEN, Entry, of_records
from .predictions import AS_GIVEN, NO_TRAINING, Predictions

#: Least part of the records of the largest run that a model must predict to be the reference.
_MOST = 0.9


class Fold(NamedTuple):
    """Records that were held out together.

    Attributes:
        held: rows of the predictions.
        test: their positions in the data.
        train: positions of the labelled records that were there to learn from.
    """

    held: list[int]
    test: list[int]
    train: list[int]


@dataclass(eq=False)
class Group:
    """Models judged by one protocol.

    Attributes:
        protocol: its name.
        entries: models that learned, in the order given.
        untrained: those that did not, on the records that the others predict.
        reference: what the others are compared with.
        trivial: trivial predictors in the folds of the reference.
        folds: of the reference; none without data.
    """

    protocol: str
    entries: list[Entry]
    untrained: list[Entry]
    reference: Entry
    trivial: list[Entry] = field(default_factory=list)
    folds: list[Fold] = field(default_factory=list)

    @property
    def everyone(self) -> list[Entry]:
        """All of them, models that learned first."""
        return [*self.entries, *self.untrained, *self.trivial]

    def other_folds(self) -> list[str]:
        """Labels of the models whose records were held out together otherwise."""
        return [
            e.label for e in self.entries if _partition(e.held) != _partition(self.reference.held)
        ]


def groups_of(
    entries: Sequence[Entry],
    reference: str,
    bands: Sequence[Band],
    facts: Mapping[str, Facts],
) -> list[Group]:
    """Sort models by protocol.

    Args:
        entries: what was read.
        reference: label of the model to compare with; where it is empty or not of a protocol, the
            lowest mean absolute error there.
        bands: the data, empty if not given.
        facts: of them.

    Returns:
        By protocol in the order given; methods that learn nothing are in each group, and a group
        of their own only where nothing else is judged.

    Raises:
        InputError: there is no such reference.
    """
    if reference and reference not in [entry.label for entry in entries]:
        known = ", ".join(entry.label for entry in entries)
        raise InputError(f"no model is called {reference!r}; there are {known}", field="reference")
    judged = [entry for entry in entries if len(entry.held.names)]
    fixed = [entry for entry in judged if not entry.trained]
    by_protocol: dict[str, list[Entry]] = {}
    for entry in judged:
        if entry.trained:
            by_protocol.setdefault(entry.predictions.protocol or AS_GIVEN, []).append(entry)
    if not by_protocol and fixed:
        return [Group(NO_TRAINING, [], fixed, _reference(fixed, reference))]
    groups = []
    for protocol, learned in by_protocol.items():
        names = {name for entry in learned for name in entry.held.names}
        shared = [
            replace(entry, predictions=of_records(entry.held, names))
            for entry in fixed
            if names & set(entry.held.names)
        ]
        group = Group(protocol, learned, shared, _reference(learned, reference))
        if bands:
            group.folds = folds_of(group.reference, facts)
            group.trivial = _trivial(group, bands)
        groups.append(group)
    return groups


def folds_of(entry: Entry, facts: Mapping[str, Facts]) -> list[Fold]:
    """Which records were held out together, and what was there to learn from.

    Held out by fold, a record can have been learned from unless it, or another record of its
    compound, was held out. In a single split the run itself says what it learned from; a table
    that does not say may have learned from every record that is not held out.
    """
    p = entry.predictions
    held = [i for i, s in enumerate(p.split) if s not in SEEN and p.names[i] in facts]
    held = [i for i in held if np.isfinite(p.target[i])]
    seen: dict[int, set[int]] = {}
    for record, split, seed in zip(p.names, p.split, p.seed, strict=True):
        if split in SEEN and record in facts:
            seen.setdefault(seed, set()).add(facts[record].position)
    labelled = {f.position: f.system for f in facts.values() if f.target is not None}
    together: dict[tuple[int, str], list[int]] = {}
    for i in held:
        together.setdefault((p.seed[i], p.fold[i]), []).append(i)
    folds = []
    for (seed, name), members in together.items():
        test = [facts[p.names[i]].position for i in members]
        if name or seed not in seen:
            systems = {facts[p.names[i]].system for i in members} if name else set()
            out = set(test)
            train = [k for k, s in labelled.items() if k not in out and s not in systems]
        else:
            train = sorted(seen[seed] & labelled.keys())
        if train:
            folds.append(Fold(members, test, train))
    return folds


def _trivial(group: Group, bands: Sequence[Band]) -> list[Entry]:
    """Predictions of the trivial predictors for every row of the reference."""
    p = group.reference.predictions
    guesses: dict[str, dict[int, float]] = {}
    for fold in group.folds:
        for name, values in trivial_for(bands, fold.train, fold.test).items():
            said = zip(fold.held, np.asarray(values).tolist(), strict=True)
            guesses.setdefault(name, {}).update(said)
    found = []
    for name, by_row in guesses.items():
        if name in [entry.label for entry in (*group.entries, *group.untrained)]:
            raise InputError(
                f"{name!r} is what a trivial predictor is called; give this model another label",
                file=group.reference.predictions.path,
            )
        part = p.rows(np.array([i in by_row for i in range(len(p))], dtype=bool))
        part = replace(
            part,
            name=name,
            train_fraction=1.0,
            prediction=np.array([by_row[i] for i in sorted(by_row)]),
            std=np.full(len(by_row), np.nan),
        )
        found.append(Entry(name, part, trained=True))
    return found


def _reference(entries: Sequence[Entry], wanted: str) -> Entry:
    for entry in entries:
        if entry.label == wanted:
            return entry
    whole = max(entry.predictions.train_fraction for entry in entries)
    fair = [entry for entry in entries if entry.predictions.train_fraction == whole]
    most = max(len(set(entry.held.names)) for entry in fair)
    fair = [entry for entry in fair if len(set(entry.held.names)) >= _MOST * most]
    return min(fair, key=lambda entry: mean_error(entry.held))


def mean_error(p: Predictions) -> float:
    """Mean absolute error over all rows, eV."""
    return float(np.abs(p.prediction - p.target).mean())


def _partition(p: Predictions) -> set[frozenset[str]]:
    """Sets of records that were held out together."""
    together: dict[tuple[int, str], set[str]] = {}
    for name, seed, fold in zip(p.names, p.seed, p.fold, strict=True):
        together.setdefault((seed, fold), set()).add(name)
    return {frozenset(names) for names in together.values()}
