"""Migration enthalpies from experiments against computed barriers (section S1 of the paper)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from .facts import Facts
from .inputs import Entry
from .page import NONE, Block, Cell, Grid, Text
from .tables import read_lines

COLUMNS = (
    "compound", "ion", "enthalpy_eV", "method", "source", "doi", "checked", "record", "note"
)  # fmt: skip

EXPERIMENTS_CSV = (
    "compound",
    "ion",
    "enthalpy_eV",
    "record",
    "barrier_eV",
    "model",
    "predicted_eV",
)

#: How a number was checked, in words.
_CHECKED = {"search": "looked up", "memory": "from memory, not looked up"}


@dataclass(frozen=True)
class Experiment:
    """One compound of section S1.

    Attributes:
        compound: as the paper writes it.
        ion: the one that migrates.
        enthalpy: in eV, None where no number is known here.
        method: of the experiment.
        source: short citation.
        doi: of it, empty if unknown.
        checked: how the number was checked.
        record: name of the band to compare with, empty if there is none.
        note: what to know about the number, or why there is none.
    """

    compound: str
    ion: str
    enthalpy: float | None
    method: str
    source: str
    doi: str
    checked: str
    record: str
    note: str


def experiments(path: Path | None = None) -> list[Experiment]:
    """The table of experiments that comes with this package, or another one of its columns.

    Raises:
        InputError: no such table, a column is missing, or an enthalpy that is no number.
    """
    with ExitStack() as stack:
        table = path or stack.enter_context(as_file(files(__package__) / "experiments.csv"))
        _, lines = read_lines(table, COLUMNS)
    return [
        Experiment(
            enthalpy=line.number_in("enthalpy_eV") if line["enthalpy_eV"] else None,
            **{column: line[column] for column in COLUMNS if column != "enthalpy_eV"},
        )
        for line in lines
    ]


@dataclass(frozen=True)
class Compared:
    """An experiment beside what is computed and predicted.

    Attributes:
        experiment: with a known enthalpy.
        barrier: of its record in eV, None if not known.
        predicted: by model, eV; only models that predict the record without having seen it.
    """

    experiment: Experiment
    barrier: float | None
    predicted: Mapping[str, float]


def compare(
    table: Sequence[Experiment], entries: Sequence[Entry], facts: Mapping[str, Facts]
) -> list[Compared]:
    """Experiments with a number, each with its computed barrier and held-out predictions."""
    targets = {name: f.target for name, f in facts.items() if f.target is not None}
    predicted: dict[str, dict[str, list[float]]] = {}
    for entry in entries:
        p = entry.held
        for name, target, said in zip(p.names, p.target, p.prediction, strict=True):
            targets.setdefault(name, float(target))
            predicted.setdefault(name, {}).setdefault(entry.label, []).append(float(said))
    return [
        Compared(
            e,
            targets.get(e.record),
            {label: float(np.mean(v)) for label, v in predicted.get(e.record, {}).items()},
        )
        for e in table
        if e.enthalpy is not None
    ]


def comparison_lines(found: Sequence[Compared]) -> list[tuple[object, ...]]:
    """Lines of ``experiments.csv``: one a model, or one without a model."""
    lines: list[tuple[object, ...]] = []
    for one in found:
        e = one.experiment
        start = (e.compound, e.ion, e.enthalpy, e.record or None, one.barrier)
        lines.extend((*start, label, value) for label, value in one.predicted.items())
        if not one.predicted:
            lines.append((*start, None, None))
    return lines


def comparison_blocks(
    table: Sequence[Experiment], found: Sequence[Compared], models: Sequence[str]
) -> list[Block]:
    """The tables of what is known, and of what is not.

    Args:
        table: all experiments.
        found: those with a number.
        models: labels of the models to show.
    """
    shown = [m for m in models if any(m in one.predicted for one in found)]
    cells: list[list[Cell | str]] = []
    for one in found:
        e = one.experiment
        cells.append([
            Cell(e.compound, f"{e.ion}, {e.method}" if e.method else e.ion),
            Cell(_eV(e.enthalpy)),
            Cell(_eV(one.barrier), e.record or "no record"),
            *(Cell(_eV(one.predicted.get(m))) for m in shown),
        ])  # fmt: skip
    header = ["compound", "experiment (eV)", "computed (eV)", *shown]
    sources: list[list[Cell | str]] = [
        [e.compound, Cell(_source(e), _CHECKED.get(e.checked, e.checked)), e.note]
        for e in (one.experiment for one in found)
    ]
    missing: list[list[Cell | str]] = [
        [e.compound, _source(e), e.note] for e in table if e.enthalpy is None
    ]
    blocks: list[Block] = []
    if cells:
        blocks.append(Grid(header, cells))
        blocks.append(Text(f"{NONE}: not known, or not among the records that were given."))
        blocks.append(Grid(["compound", "source of the experiment", "note"], sources, names=3))
    if missing:
        blocks.append(
            Text(f"No number is known here for {len(missing)} of {len(table)} compounds:")
        )
        blocks.append(Grid(["compound", "source", "why"], missing, names=3))
    return blocks


def _source(e: Experiment) -> str:
    return f"{e.source}. doi {e.doi}" if e.doi else e.source


def _eV(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"
