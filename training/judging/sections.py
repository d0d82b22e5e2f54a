"""Sections of the page that need only some kinds of input, and say so where it is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from training.files import write_csv
from training.read import BandSet

from . import figures
from .breakdown import (
    BREAKDOWN_CSV,
    Breakdown,
    breakdown_grid,
    by_quartile,
    by_word,
    shown_models,
    words_of,
)
from .calibration import CALIBRATION_CSV, LEVELS, calibration_of
from .curve import CURVE_CSV, curves_of
from .distance import descriptors, nearest_training
from .experiments import (
    EXPERIMENTS_CSV,
    compare,
    comparison_blocks,
    comparison_lines,
    experiments,
)
from .facts import Facts
from .groups import Group
from .page import Block, Cell, Grid, Heading, Pictures, Section, Text
from .table import Row

Line = tuple[object, ...]


def curve_section(
    folder: Path, groups: Sequence[Group], rows: Mapping[str, Sequence[Row]]
) -> Section:
    """Learning curves, of runs that differ in nothing but the number of training records."""
    blocks: list[Block] = []
    lines: list[Line] = []
    pictures: list[tuple[Path, str]] = []
    for group in groups:
        for curve in curves_of(group, rows[group.protocol]):
            path = folder / f"learning_curve-{len(pictures) + 1}.png"
            figures.learning_curve(path, curve)
            pictures.append((path, f"{curve.label}, {group.protocol}"))
            lines.extend(curve.lines(group.protocol))
    if pictures:
        blocks.append(Pictures(pictures, wide=True))
    else:
        blocks.append(
            Text("Not drawn: no two runs differ in nothing but their part of the training records.")
        )
    write_csv(folder / "learning_curve.csv", CURVE_CSV, lines)
    return Section("curve", "Error against training-set size", blocks)


def errors_section(
    folder: Path, groups: Sequence[Group], source: BandSet | None, facts: Mapping[str, Facts]
) -> Section:
    """Errors by class, ion, size, hop length and distance from the training records."""
    blocks: list[Block] = []
    files: dict[str, list[Line]] = {
        name: [] for name in ("by_class", "by_ion", "by_size", "by_hop", "by_distance")
    }
    if groups:
        blocks.append(
            Text(
                "Mean absolute error (eV), and below it the bias: the mean of prediction minus "
                "target. Quarters hold equally many records. The files beside this page hold all "
                "models and all classes."
            )
        )
    for group in groups:
        everyone = group.everyone
        size = {name: float(f.atoms) for name, f in facts.items()}
        hop = {name: f.hop for name, f in facts.items()}
        distance = _distances(group, source)
        found: list[tuple[str, str, Breakdown, bool]] = [
            ("by_class", "class", by_word(everyone, words_of(group, lambda p: p.family)), True),
            ("by_ion", "migrating ion", by_word(everyone, words_of(group, lambda p: p.ion)), True),
            ("by_size", "atoms in the structure", by_quartile(everyone, size, 0), False),
            ("by_hop", "hop length (Å)", by_quartile(everyone, hop, 2), False),
            (
                "by_distance",
                "distance from the training records",
                by_quartile(everyone, distance, 2),
                False,
            ),
        ]
        blocks.append(Heading(group.protocol.capitalize()))
        missing = []
        for file, what, parts, words in found:
            files[file].extend(parts.lines(group.protocol))
            if parts.parts:
                blocks.append(breakdown_grid(group, parts, what, words=words))
            else:
                missing.append(what)
        if distance:
            blocks.append(
                Text(
                    "Distance: to the nearest record that there was to learn from, in element "
                    "fractions of the host, the element of the ion, hop length, and the distance "
                    "of each image to the nearest host atom; 1 is the root mean square distance "
                    "of two training records. In the folds of "
                    f"{group.reference.label}."
                )
            )
        if missing:
            why = "the data are not given" if source is None else "no record is in the data"
            blocks.append(Text(f"Not parted by {', '.join(missing)}: {why}."))
    if not groups:
        blocks.append(Text("Nothing to part: no record with a barrier was held out."))
    for name, lines in files.items():
        write_csv(folder / f"{name}.csv", BREAKDOWN_CSV, lines)
    return Section("errors", "Where errors are large", blocks)


def _distances(group: Group, source: BandSet | None) -> dict[str, float]:
    """Distance of each record from what its fold could learn from, the mean over seeds."""
    if source is None or not group.folds:
        return {}
    table = descriptors(source.bands)
    names = group.reference.predictions.names
    values: dict[str, list[float]] = {}
    for fold in group.folds:
        near = nearest_training(table, fold.train, fold.test)
        for row, value in zip(fold.held, near.tolist(), strict=True):
            values.setdefault(names[row], []).append(value)
    return {name: float(np.mean(v)) for name, v in values.items()}


def calibration_section(folder: Path, groups: Sequence[Group]) -> Section:
    """How often intervals hold, of models that give a standard deviation."""
    blocks: list[Block] = []
    lines: list[Line] = []
    shown = [LEVELS.index(level) for level in (0.5, 0.68, 0.9, 0.95)]
    for number, group in enumerate(groups, start=1):
        found = [c for c in map(calibration_of, group.everyone) if c is not None]
        if not found:
            continue
        for one in found:
            lines.extend(one.lines(group.protocol))
        path = folder / f"calibration-{number}.png"
        figures.coverage(path, found)
        header = [
            "model", "records", *(f"within {100 * LEVELS[i]:.0f} %" for i in shown),
            "mean gap", "sharpness (eV)", "RMSE (eV)",
        ]  # fmt: skip
        cells: list[list[Cell | str]] = [
            [
                one.label, str(one.records), *(f"{100 * one.observed[i]:.1f} %" for i in shown),
                f"{one.gap:.3f}", f"{one.sharpness:.3f}", f"{one.rmse:.3f}",
            ]
            for one in found
        ]  # fmt: skip
        blocks.extend(
            [
                Heading(group.protocol.capitalize()),
                Grid(header, cells),
                Pictures([(path, f"Observed against nominal coverage, {group.protocol}")]),
            ]
        )
    if blocks:
        blocks.insert(
            0,
            Text(
                "Part of the targets inside the central interval of a normal distribution with "
                "the predicted standard deviation, for nominal coverages. Mean gap: mean absolute "
                "difference of both over ten nominal coverages. Sharpness: root mean square of "
                "the standard deviations; honest ones are as large as the RMSE."
            ),
        )
    else:
        blocks.append(Text("Not judged: no prediction carries a standard deviation (std_eV)."))
    write_csv(folder / "calibration.csv", CALIBRATION_CSV, lines)
    return Section("calibration", "Whether intervals hold", blocks)


def experiments_section(
    folder: Path, groups: Sequence[Group], facts: Mapping[str, Facts]
) -> Section:
    """Experimental migration enthalpies against barriers (section S1 of the paper)."""
    table = experiments()
    models = list({m.label: m for group in groups for m in shown_models(group)}.values())
    found = compare(table, models, facts)
    labels = [m.label for m in models]
    blocks: list[Block] = [
        Text(
            "Compounds of section S1 of arXiv:2508.06436. Experiments measure a migration "
            "enthalpy, some with the formation of defects in it; a barrier is computed at rest, "
            "for one path. Model columns hold predictions for records that a model had not seen."
        )
    ]
    if any(one.barrier is not None or one.predicted for one in found):
        path = folder / "experiments.png"
        figures.enthalpies(path, found, labels[:4])
        blocks.append(
            Pictures([(path, "Experimental migration enthalpy against barrier")], wide=True)
        )
    else:
        blocks.append(Text("No barrier of these compounds is among what was given."))
    blocks.extend(comparison_blocks(table, found, labels))
    write_csv(folder / "experiments.csv", EXPERIMENTS_CSV, comparison_lines(found))
    return Section("experiments", "Experiment against computation", blocks)
