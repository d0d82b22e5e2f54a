"""The tables: how good every model is, and how sure one is that it is better than another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from linegraph.errors import InputError

from .groups import Group
from .inputs import Entry
from .page import NONE, Block, Cell, Grid, Heading, Text
from .predictions import AS_GIVEN, Predictions
from .scores import Paired, Score, paired_difference, scores

#: Barriers above this (eV) dominate squared errors; R2 is also given without them.
OUTLIERS = 5.0

#: Columns: key, heading, decimals.
METRICS = (
    ("mae", "MAE (eV)", 3),
    ("rmse", "RMSE (eV)", 3),
    ("r2", "R2", 3),
    ("r2_below", f"R2 up to {OUTLIERS:g} eV", 3),
    ("spearman", "Spearman", 3),
    ("accuracy", "accuracy", 3),
    ("precision", "precision", 3),
    ("recall", "recall", 3),
    ("roc_auc", "ROC AUC", 3),
)

TABLE_CSV = (
    "protocol", "model", "kind", "train_fraction", "records", "compounds", "seeds",
    *(name for key, _, _ in METRICS for name in (key, f"{key}_se")),
)  # fmt: skip

PAIRED_CSV = (
    "protocol", "model", "reference", "records", "mae_difference_eV", "se_eV", "low_eV", "high_eV"
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Row:
    """Scores of one model."""

    label: str
    kind: str
    fraction: float
    records: int
    compounds: int | None
    seeds: int | None
    scores: Mapping[str, Score]

    def values(self, protocol: str) -> tuple[object, ...]:
        """As a line of ``table.csv``."""
        figures = [
            part for key, _, _ in METRICS for part in self.scores.get(key, Score(None, None))
        ]
        return (
            protocol, self.label, self.kind, self.fraction, self.records, self.compounds,
            self.seeds, *figures,
        )  # fmt: skip

    def cells(self, shown: Sequence[tuple[str, str, int]], strong: bool) -> list[Cell | str]:
        """As a row of the page."""
        fraction = "" if self.fraction == 1.0 else f"{100 * self.fraction:g} % of training"
        kind = self.kind if self.kind != "trained" else ""
        told = "; ".join(part for part in (kind, fraction) if part)
        seeds = "" if (self.seeds or 1) == 1 else f"{self.seeds} seeds"
        compounds = NONE if self.compounds is None else str(self.compounds)
        return [
            Cell(self.label, told, strong),
            Cell(str(self.records), seeds),
            compounds,
            *(_cell(self.scores.get(key), decimals, strong) for key, _, decimals in shown),
        ]


def row_of(label: str, kind: str, p: Predictions, threshold: float, resamples: int) -> Row:
    """Score one model on all rows of ``p``, which are labelled."""
    found = dict(scores(p, threshold, resamples))
    low = p.target <= OUTLIERS
    found["r2_below"] = found["r2"]
    if not low.all():
        part = p.rows(low)
        below = scores(part, threshold, resamples) if part.names else {}
        found["r2_below"] = below.get("r2", Score(None, None))
    return Row(
        label=label,
        kind=kind,
        fraction=p.train_fraction,
        records=len(set(p.names)),
        compounds=len(set(p.system)),
        seeds=len(set(p.seed)),
        scores=found,
    )


def rows_of(group: Group, threshold: float, resamples: int) -> list[Row]:
    """Scores of everyone in a group: what learned, by its error; then the rest."""
    found = []
    for entries, kind in (
        (group.entries, "trained"), (group.untrained, "no training"), (group.trivial, "trivial")
    ):  # fmt: skip
        part = [row_of(e.label, kind, e.held, threshold, resamples) for e in entries]
        found.extend(sorted(part, key=lambda row: row.scores["mae"].value or 0.0))
    if not group.trivial and group.entries:
        found.extend(_recorded(group.reference.metrics))
    return found


def _recorded(metrics: Mapping[str, Any]) -> Iterator[Row]:
    """The trivial predictors that a run has recorded in its metrics.json."""
    for name, block in metrics.get("trivial", {}).items():
        found = {
            "mae": Score(block.get("mae"), block.get("mae_se")),
            "rmse": Score(block.get("rmse"), None),
            "r2": Score(block.get("r2"), block.get("r2_se")),
        }
        yield Row(name, "trivial", 1.0, int(block["n"]), None, block.get("seeds"), found)


def table_blocks(group: Group, found: Sequence[Row], threshold: float) -> list[Block]:
    """The table of a group, and what is to be known about it."""
    held = group.reference.held
    large = sorted({n for n, t in zip(held.names, held.target, strict=True) if t > OUTLIERS})
    shown = [column for column in METRICS if column[0] != "r2_below" or large]
    header = ["model", "records", "compounds", *(heading for _, heading, _ in shown)]
    best = group.reference.label
    grid = Grid(header, [row.cells(shown, row.label == best) for row in found])
    blocks: list[Block] = [Heading(group.protocol.capitalize()), grid]
    notes = []
    if group.protocol == AS_GIVEN:
        notes.append(
            "These files do not tell how records were held out: that no model has seen them is "
            "taken on trust."
        )
    if large:
        notes.append(
            f"R2 up to {OUTLIERS:g} eV leaves out {len(large)} "
            f"{'record' if len(large) == 1 else 'records'} whose squared errors outweigh all "
            f"others: {', '.join(large)}."
        )
    known = {n for n, t in zip(held.names, held.target, strict=True) if t < threshold}
    notes.append(
        f"{len(known)} of {len(set(held.names))} records of {best} have a barrier below "
        f"{threshold:g} eV."
    )
    if not any(row.kind == "trivial" for row in found):
        notes.append("No trivial predictors: neither the data nor a run's metrics.json is given.")
    elif not group.trivial:
        notes.append(
            f"Trivial predictors as {best} has recorded them, with standard errors by records, "
            "not compounds; give the data for all their scores."
        )
    elif others := group.other_folds():
        notes.append(
            f"Trivial predictors are computed in the folds of {best}. Judged in other folds: "
            f"{', '.join(others)}."
        )
    blocks.extend(Text(note) for note in notes)
    return blocks


def fit_blocks(entries: Sequence[Row]) -> list[Block]:
    """The table of what models say about the records they learned from."""
    shown = METRICS[:3]
    header = ["model", "records", "compounds", *(heading for _, heading, _ in shown)]
    return [
        Heading("Fit to the training records: no judgement"),
        Text(
            "What a model says about records it has learned from tells how closely it fits, "
            "not how well it predicts."
        ),
        Grid(header, [row.cells(shown, False) for row in entries]),
    ]


def pairs_of(group: Group, resamples: int) -> list[tuple[Entry, Paired]]:
    """Difference of each model to the reference on the records that both predict."""
    found = []
    for entry in group.everyone:
        if entry is group.reference or not set(entry.held.names) & set(group.reference.held.names):
            continue
        found.append((entry, paired_difference(entry.held, group.reference.held, resamples)))
    return sorted(found, key=lambda pair: pair[1].mae)


def pair_rows(group: Group, pairs: Sequence[tuple[Entry, Paired]]) -> list[tuple[object, ...]]:
    """Lines of ``paired.csv``."""
    name = group.reference.label
    return [
        (group.protocol, e.label, name, p.n, p.mae, *map(_known, (p.error, p.low, p.high)))
        for e, p in pairs
    ]


def pair_blocks(group: Group, pairs: Sequence[tuple[Entry, Paired]]) -> list[Block]:
    """The table of differences."""
    best = group.reference.label
    if not pairs:
        return [Heading(group.protocol.capitalize()), Text(f"Nothing to compare {best} with.")]
    cells: list[list[Cell | str]] = [
        [
            entry.label,
            _verdict(p),
            str(p.n),
            Cell(f"{p.mae:+.3f}", f"± {p.error:.3f}" if np.isfinite(p.error) else ""),
            f"{p.low:+.3f} to {p.high:+.3f}" if np.isfinite(p.low) else NONE,
        ]
        for entry, p in pairs
    ]
    header = ["model", "verdict", "records", "MAE difference (eV)", "95 % interval (eV)"]
    return [Heading(f"{group.protocol.capitalize()}, against {best}"), Grid(header, cells, names=2)]


def _verdict(p: Paired) -> str:
    if p.low > 0:
        return "worse"
    return "better" if p.high < 0 else "cannot be told apart"


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _cell(score: Score | None, decimals: int, strong: bool) -> Cell:
    if score is None or score.value is None or not np.isfinite(score.value):
        return Cell(NONE)
    error = "" if score.error is None else f"± {score.error:.{decimals}f}"
    return Cell(f"{score.value:.{decimals}f}", error, strong)


def check_settings(threshold: float, resamples: int) -> None:
    """Refuse what no table can be made with.

    Raises:
        InputError: a threshold that is not positive, too few resamples.
    """
    if not 0 < threshold < np.inf:
        raise InputError(f"{threshold} is no barrier above 0 eV", field="threshold")
    if resamples < 2:
        raise InputError("a standard error needs at least 2 resamples", field="resamples")
