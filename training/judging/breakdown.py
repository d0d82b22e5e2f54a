"""Where errors are large: by class, by ion, by size, by hop, by distance from what is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .groups import Group, mean_error
from .inputs import Entry
from .page import NONE, Cell, Grid
from .predictions import Predictions

#: Models side by side in a table of the page; the files hold all.
MODELS = 6

#: Classes and ions of fewer records share a line of the page.
FEW = 5

BREAKDOWN_CSV = ("protocol", "model", "part", "records", "mae_eV", "bias_eV")

#: Name of the part that records without a known value are in.
UNKNOWN = "not known"


@dataclass(frozen=True)
class Errors:
    """Of one model in one part of the records.

    Attributes:
        records: different ones.
        mae: mean absolute error, eV.
        bias: mean of prediction minus target, eV.
    """

    records: int
    mae: float
    bias: float


@dataclass(frozen=True)
class Breakdown:
    """Errors of models by part.

    Attributes:
        parts: in order.
        errors: by part and label; a model that predicts nothing of a part is not there.
    """

    parts: list[str]
    errors: Mapping[str, Mapping[str, Errors]]

    def lines(self, protocol: str) -> list[tuple[object, ...]]:
        """Lines of a table in a file."""
        return [
            (protocol, label, part, e.records, e.mae, e.bias)
            for part in self.parts
            for label, e in self.errors[part].items()
        ]


def breakdown(
    entries: Sequence[Entry], part_of: Callable[[str], str], parts: Sequence[str]
) -> Breakdown:
    """Errors of all models by part.

    Args:
        entries: models, each judged on its own records.
        part_of: which part a record belongs to, by its name.
        parts: in the order wanted; those without any record are left out.
    """
    errors: dict[str, dict[str, Errors]] = {}
    for entry in entries:
        p = entry.held
        of = np.array([part_of(name) for name in p.names])
        for part in parts:
            mask = of == part
            if mask.any():
                errors.setdefault(part, {})[entry.label] = _errors(p, mask)
    return Breakdown([part for part in parts if part in errors], errors)


def by_word(entries: Sequence[Entry], words: Mapping[str, str]) -> Breakdown:
    """By a class or an ion, the most frequent first.

    Args:
        entries: models.
        words: of each record, by its name; empty where not known.
    """
    counts: dict[str, int] = {}
    for name in dict.fromkeys(name for entry in entries for name in entry.held.names):
        part = words.get(name) or UNKNOWN
        counts[part] = counts.get(part, 0) + 1
    parts = sorted(counts, key=lambda part: (part == UNKNOWN, -counts[part], part))
    return breakdown(entries, lambda name: words.get(name) or UNKNOWN, parts)


def by_quartile(entries: Sequence[Entry], values: Mapping[str, float], decimals: int) -> Breakdown:
    """By the quarter a number lies in, of the records that have one.

    Args:
        entries: models.
        values: number of each record, by its name.
        decimals: of the limits in the names of the parts.
    """
    used = dict.fromkeys(name for entry in entries for name in entry.held.names if name in values)
    numbers = np.array([values[name] for name in used])
    if not len(numbers):
        return Breakdown([], {})
    limits = np.quantile(numbers, [0.0, 0.25, 0.5, 0.75, 1.0])
    names = [f"{low:.{decimals}f} to {high:.{decimals}f}" for low, high in pairwise(limits)]
    # Equal numbers can make quarters of one name: they are one part.
    parts = list(dict.fromkeys(names))

    def part_of(name: str) -> str:
        if name not in values:
            return ""
        return names[int(np.searchsorted(limits[1:-1], values[name], side="left"))]

    return breakdown(entries, part_of, parts)


def breakdown_grid(group: Group, found: Breakdown, what: str, *, words: bool) -> Grid:
    """As a table of the page.

    Args:
        group: what was broken down.
        found: the errors.
        what: heading of the first column.
        words: whether parts of few records share a line.
    """
    # Nobody should believe a model where the best of the trivial predictors is as good.
    trivial = sorted(group.trivial, key=lambda entry: mean_error(entry.held))
    models = [*shown_models(group), *trivial[:1]]
    rows: list[list[Cell | str]] = []
    few: list[str] = []
    sizes = {p: max(e.records for e in found.errors[p].values()) for p in found.parts}
    if words and sum(size < FEW for size in sizes.values()) > 1:
        few = [part for part, size in sizes.items() if size < FEW]
    for part in found.parts:
        if part in few:
            continue
        errors, largest = found.errors[part], sizes[part]
        rows.append([part, str(largest), *(_cell(errors.get(m.label), largest) for m in models)])
    if few:
        total = {m.label: _together([found.errors[part].get(m.label) for part in few])
                 for m in models}  # fmt: skip
        largest = max((e.records for e in total.values() if e), default=0)
        label = f"{len(few)} others of fewer than {FEW} records each"
        rows.append([label, str(largest), *(_cell(total[m.label], largest) for m in models)])
    return Grid([what, "records", *(m.label for m in models)], rows)


def shown_models(group: Group) -> list[Entry]:
    """The models that tables of the page have room for.

    The best of those that learned, from all training records, and two that did not.
    """
    whole = max((e.predictions.train_fraction for e in group.entries), default=1.0)
    learned = [e for e in group.entries if e.predictions.train_fraction == whole]
    learned.sort(key=lambda entry: mean_error(entry.held))
    room = MODELS - len(group.untrained[:2])
    return [*learned[:room], *group.untrained[:2]]


def words_of(group: Group, which: Callable[[Predictions], Sequence[str]]) -> dict[str, str]:
    """Class or ion of each record, from the first model whose table says it."""
    found: dict[str, str] = {}
    for entry in group.everyone:
        for name, word in zip(entry.held.names, which(entry.held), strict=True):
            if word:
                found.setdefault(name, word)
    return found


def _errors(p: Predictions, mask: NDArray[np.bool_]) -> Errors:
    error = (p.prediction - p.target)[mask]
    records = len({name for name, inside in zip(p.names, mask, strict=True) if inside})
    return Errors(records, float(np.abs(error).mean()), float(error.mean()))


def _together(parts: Sequence[Errors | None]) -> Errors | None:
    given = [e for e in parts if e is not None]
    n = sum(e.records for e in given)
    if not n:
        return None
    mae = sum(e.records * e.mae for e in given) / n
    return Errors(n, mae, sum(e.records * e.bias for e in given) / n)


def _cell(e: Errors | None, largest: int) -> Cell:
    if e is None:
        return Cell(NONE)
    fewer = "" if e.records == largest else f", n {e.records}"
    return Cell(f"{e.mae:.3f}", f"{e.bias:+.3f}{fewer}")
