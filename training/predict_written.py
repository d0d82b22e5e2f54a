"""The files that the command ``predict`` writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from linegraph.ensemble import Ensemble
from linegraph.errors import InputError

from .files import write_csv, write_json
from .predict_files import BandFile, CrystalFile

#: Columns of the table for machines: a row for each hop of a crystal, and for each band.
COLUMNS = (
    "file", "kind", "compound", "ion", "hop", "length_A", "multiplicity", "closest_approach_A",
    "barrier_eV", "low_eV", "high_eV", "level", "probability_below_threshold", "threshold_eV",
    "distance", "outside", "nearest", "potential_eV",
)  # fmt: skip

#: What came of files.
Found = Sequence[CrystalFile | BandFile | InputError]


def write_predictions(
    found: Found,
    ensemble: Ensemble,
    level: float,
    threshold: float,
    *,
    json: Path | None,
    csv: Path | None,
    html: Path | None = None,
) -> None:
    """Write what was predicted, for machines, and as a page.

    Args:
        found: of every file, as :func:`training.predict_files.predict_files` gives it.
        ensemble: what predicted.
        level: of the intervals.
        threshold: eV.
        json: the file, or None: an object of ``crystals`` (:meth:`Prediction.as_dict` and the
            file), ``bands``, ``failures`` and what predicted.
        csv: the file, or None: :data:`COLUMNS`, names of nearest records with ``;`` in between.
        html: the file, or None: see :func:`training.viewer.page.write_page`.

    Raises:
        InputError: a file cannot be written; no plotly for ``html``. The others are written then,
            too; the first error is raised.
    """

    def write_html(path: Path) -> None:
        from .viewer.page import write_page

        write_page(path, found, ensemble, level, threshold)

    ways: list[tuple[Path | None, Callable[[Path], None]]] = [
        (json, lambda path: _write_json(path, found, ensemble, level, threshold)),
        (csv, lambda path: _write_csv(path, found, ensemble, level, threshold)),
        (html, write_html),
    ]
    errors = []
    for path, write in ways:
        try:
            if path is not None:
                write(path)
        except Exception as error:  # hours of work, and the next file may be fine
            errors.append(error)
    if errors:
        raise errors[0]


def _write_json(
    path: Path, found: Found, ensemble: Ensemble, level: float, threshold: float
) -> None:
    about = {
        "model": ensemble.name,
        "members": len(ensemble.members),
        "records": ensemble.records,
        "calibrated": ensemble.calibrated,
        "level": level,
        "threshold_eV": threshold,
    }
    failures = [
        {"file": str(error.file), "error": str(error)}
        for error in found
        if isinstance(error, InputError)
    ]
    lists = {"crystals": _crystals(found), "bands": _bands(found), "failures": failures}
    write_json(path, {**about, **lists})


def _write_csv(
    path: Path, found: Found, ensemble: Ensemble, level: float, threshold: float
) -> None:
    rows = [
        {"kind": "crystal", **crystal, **hop, "compound": crystal["formula"]}
        for crystal in _crystals(found)
        for hop in crystal["hops"]
    ]
    rows += [
        {"kind": "band", **row, "hop": row["band"], "compound": row["system"]}
        for row in _bands(found)
    ]
    fixed = {"level": level if ensemble.calibrated else None, "threshold_eV": threshold}
    write_csv(path, COLUMNS, [_cells({**row, **fixed}) for row in rows])


def _crystals(found: Found) -> list[dict[str, Any]]:
    return [one.as_dict() for one in found if isinstance(one, CrystalFile)]


def _bands(found: Found) -> list[dict[str, Any]]:
    return [row for one in found if isinstance(one, BandFile) for row in one.as_dicts()]


def _cells(row: dict[str, Any]) -> list[object]:
    row = {**row, "nearest": ";".join(row["nearest"])}
    return [row.get(column) for column in COLUMNS]
