"""What every kind of model goes through: each part of a protocol in turn, and one verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .files import make_folder
from .protocols import Part
from .read import BandSet
from .report import Row, trivial_for, write_rows

#: Splits of a part, the one that judges last.
SPLITS = ("train", "val", "test")


class Answer(NamedTuple):
    """Predictions of the records of one split, in the order of the split.

    Attributes:
        values: eV.
        std: their standard deviations in eV, None where the model gives none.
    """

    values: Sequence[float]
    std: Sequence[float] | None = None


def judge(
    folder: Path,
    title: str,
    bands: BandSet,
    parts: Sequence[Part],
    answer: Callable[[Path, Part], Mapping[str, Answer]],
) -> dict[str, Any]:
    """Have every part of a protocol predicted, and write what comes of it.

    The folder of each part, and that of the run for all parts together, gets what
    :func:`training.report.write_rows` writes. Trivial predictors answer for the same records as
    the model, each time from the part's own training and validation records.

    Args:
        folder: the run folder; exists.
        title: of the plots: which model.
        bands: all records, with targets.
        parts: of :func:`training.protocols.parts_of`.
        answer: given the part's folder and the part, learns and predicts: barriers by split
            (``test``; of one split ``train`` and ``val``, too). It may look at no test record's
            target. It is called anew for every part of a run that is resumed.

    Returns:
        The contents of the run's ``metrics.json``.
    """
    everything: list[Row] = []
    for part in parts:
        here = make_folder(folder / part.folder)
        rows = _rows(bands, part, answer(here, part))
        if part.folder:
            write_rows(here, f"{title}, {_label(part)}", rows)
        everything += rows
    return write_rows(folder, title, everything)


def _rows(bands: BandSet, part: Part, answers: Mapping[str, Answer]) -> list[Row]:
    given = [name for name in SPLITS if name in answers and getattr(part.split, name)]
    rows = []
    for name in given:
        positions = getattr(part.split, name)
        guesses = _guesses(bands, part, name) if name == given[-1] else {}
        values, std = answers[name]
        spreads = [None] * len(values) if std is None else std
        for i, (p, value, spread) in enumerate(zip(positions, values, spreads, strict=True)):
            trivial = {guess: float(said[i]) for guess, said in guesses.items()}
            rows.append(Row(bands.bands[p], name, value, spread, part.label, part.seed, trivial))
    return rows


def _guesses(bands: BandSet, part: Part, judged: str) -> Mapping[str, Any]:
    """Of trivial predictors, for the split that judges."""
    split = part.split
    # Where there is no test part, validation records judge, and teach nothing.
    known = split.train + split.val if judged == "test" else split.train
    return trivial_for(bands.bands, known, getattr(split, judged))


def _label(part: Part) -> str:
    left_out = f"fold {part.label}" if part.label.isdigit() else f"{part.label} left out"
    return ", ".join([left_out] * bool(part.label) + [f"seed {part.seed}"])
