"""The report: models judged side by side, on one page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from training.data import load_bands
from training.files import new_run_folder, write_csv
from training.read import BandSet

from . import figures
from .facts import Facts, facts_of
from .given import given_blocks
from .groups import Group, groups_of
from .inputs import Entry, gather
from .page import Block, Pictures, Section, Text, write_page
from .scores import Paired
from .sections import calibration_section, curve_section, errors_section, experiments_section
from .table import (
    PAIRED_CSV,
    TABLE_CSV,
    Row,
    check_settings,
    fit_blocks,
    pair_blocks,
    pair_rows,
    pairs_of,
    row_of,
    rows_of,
    table_blocks,
)

TITLE = "Barrier models, judged"

#: What a row of training records is called in table.csv in place of a protocol.
FIT = "fit to the training records"


def report(
    out: str | Path,
    runs: Sequence[tuple[str, Path]],
    *,
    untrained: Sequence[tuple[str, Path]] = (),
    data: str | None = None,
    reference: str = "",
    threshold: float = 0.65,
    resamples: int = 1000,
) -> Path:
    """Compare models by their predictions, and write a page about it.

    Args:
        out: folder to write ``index.html`` into, and the tables (CSV) and figures (PNG) behind
            it; must not exist or be empty.
        runs: label (or "") and run folder or CSV file (:func:`.predictions.read_table`) of models
            that learned from barriers.
        untrained: the same of methods that did not, as an MLIP-NEB.
        data: bands as for ``--data``, for ion, class, size, hop length, distance from the training
            records, and trivial predictors; None for none.
        reference: label of the model that the others are compared with; by default the one of the
            lowest mean absolute error, protocol by protocol.
        threshold: eV; as a classifier, a model has to find the barriers below.
        resamples: of compounds, for standard errors and intervals.

    Returns:
        Path of the page.

    Raises:
        InputError: nothing given or nothing labelled, one label twice, two barriers of one record,
            an unknown reference, a file that cannot be read, or an ``out`` that holds something.
    """
    check_settings(threshold, resamples)
    source = None if data is None else load_bands(data)
    facts: Mapping[str, Facts] = facts_of(source.bands) if source else {}
    entries = gather(runs, untrained, facts)
    groups = groups_of(entries, reference, source.bands if source else [], facts)
    folder = new_run_folder(out)
    maker = _Maker(folder, source, facts, entries, groups, threshold, resamples)
    page = folder / "index.html"
    write_page(page, TITLE, maker.lead(), maker.sections())
    return page


class _Maker:
    """Writes files and makes the sections of the page, in order."""

    def __init__(
        self,
        folder: Path,
        source: BandSet | None,
        facts: Mapping[str, Facts],
        entries: Sequence[Entry],
        groups: Sequence[Group],
        threshold: float,
        resamples: int,
    ) -> None:
        self.folder = folder
        self.source = source
        self.facts = facts
        self.entries = entries
        self.groups = groups
        self.threshold = threshold
        self.resamples = resamples
        self.rows: dict[str, list[Row]] = {
            group.protocol: rows_of(group, threshold, resamples) for group in groups
        }

    def lead(self) -> list[str]:
        judged = {name for g in self.groups for entry in g.everyone for name in entry.held.names}
        return [
            f"{len(self.entries)} models, judged by {len(judged)} records with a known migration "
            "barrier. Unless it says otherwise, a number comes from records whose barriers the "
            "model had not seen, or from a method that never learned from barriers.",
            f"Standard errors (±) and intervals: {self.resamples} bootstrap resamples of compounds "
            "with all their records, because paths in one compound are alike. As classifiers, "
            f"models have to find the barriers below {self.threshold:g} eV.",
        ]

    def sections(self) -> list[Section]:
        return [
            self._table(),
            self._paired(),
            self._parity(),
            curve_section(self.folder, self.groups, self.rows),
            errors_section(self.folder, self.groups, self.source, self.facts),
            calibration_section(self.folder, self.groups),
            experiments_section(self.folder, self.groups, self.facts),
            Section("given", "What was given", given_blocks(self.entries, self.source)),
        ]

    def _table(self) -> Section:
        blocks: list[Block] = []
        lines: list[tuple[object, ...]] = []
        for group in self.groups:
            rows = self.rows[group.protocol]
            blocks.extend(table_blocks(group, rows, self.threshold))
            lines.extend(row.values(group.protocol) for row in rows)
        fitted = [
            row_of(entry.label, "fit", entry.fitted, self.threshold, self.resamples)
            for entry in self.entries
            if len(entry.fitted.names)
        ]
        if not self.groups:
            blocks.append(Text("No model is judged: no record with a barrier was held out."))
        told = {row.label for rows in self.rows.values() for row in rows} | {
            row.label for row in fitted
        }
        if left := [entry.label for entry in self.entries if entry.label not in told]:
            blocks.append(
                Text(
                    f"In no table, because no other model predicts its records or none of them "
                    f"has a known barrier: {', '.join(left)}."
                )
            )
        if fitted:
            blocks.extend(fit_blocks(fitted))
            lines.extend(row.values(FIT) for row in fitted)
        write_csv(self.folder / "table.csv", TABLE_CSV, lines)
        return Section("table", "How good every model is", blocks)

    def _paired(self) -> Section:
        blocks: list[Block] = [
            Text(
                "Difference of mean absolute errors on the records that both models predict: "
                "below zero, a model is better than the reference. An interval that holds zero "
                "does not tell which one is."
            )
        ]
        lines: list[tuple[object, ...]] = []
        for number, group in enumerate(self.groups, start=1):
            pairs: list[tuple[Entry, Paired]] = pairs_of(group, self.resamples)
            blocks.extend(pair_blocks(group, pairs))
            lines.extend(pair_rows(group, pairs))
            if pairs:
                path = self.folder / f"paired-{number}.png"
                figures.differences(path, group.reference.label, pairs)
                said = f"Differences and 95 % intervals, {group.protocol}"
                blocks.append(Pictures([(path, said)], wide=True))
        if not self.groups:
            blocks = [Text("Nothing to compare: no record with a barrier was held out.")]
        write_csv(self.folder / "paired.csv", PAIRED_CSV, lines)
        return Section("paired", "Which model is better", blocks)

    def _parity(self) -> Section:
        (self.folder / "parity").mkdir()
        names: set[str] = set()
        items: list[tuple[Path, str]] = []
        seen: set[tuple[str, frozenset[str]]] = set()
        for group in self.groups:
            rows = {row.label: row for row in self.rows[group.protocol]}
            for entry in [*group.entries, *group.untrained]:
                # What needs no training says the same of a record by every protocol.
                shown = (entry.label, frozenset(entry.held.names))
                if shown in seen:
                    continue
                seen.add(shown)
                path = self.folder / "parity" / f"{_file_name(entry.label, names)}.png"
                figures.parity(path, entry.held, rows[entry.label])
                items.append((path, f"{entry.label}, {group.protocol}"))
        for entry in self.entries:
            if len(entry.fitted.names):
                path = self.folder / "parity" / f"{_file_name(f'{entry.label}-fit', names)}.png"
                row = row_of(entry.label, "fit", entry.fitted, self.threshold, self.resamples)
                figures.parity(path, entry.fitted, row)
                items.append((path, f"{entry.label}, {FIT}"))
        said = Text("Above, the distribution of targets; beside, that of predictions.")
        return Section("parity", "Prediction against target", [said, Pictures(items)])


def _file_name(label: str, taken: set[str]) -> str:
    """A name for files, unlike any other so far."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", label).strip(".-")[:80] or "model"
    name, number = plain, 2
    # Two labels may differ only in what no file name can hold, or in case.
    while name.lower() in taken:
        name, number = f"{plain}-{number}", number + 1
    taken.add(name.lower())
    return name
