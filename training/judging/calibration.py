"""Whether intervals of predictions hold as often as they say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .inputs import Entry

#: Nominal coverages that are looked at.
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.68, 0.8, 0.9, 0.95)

CALIBRATION_CSV = ("protocol", "model", "records", "nominal", "observed")


@dataclass(frozen=True, eq=False)
class Calibration:
    """Of one model whose predictions carry standard deviations.

    Attributes:
        label: of the model.
        records: different ones with a standard deviation.
        observed: ``[len(LEVELS)]`` part of the targets inside the interval of each nominal
            coverage.
        sharpness: root mean square of the standard deviations, eV.
        rmse: of the same predictions, eV: what the sharpness of honest intervals is equal to.
    """

    label: str
    records: int
    observed: NDArray[np.float64]
    sharpness: float
    rmse: float

    @property
    def gap(self) -> float:
        """Mean absolute difference of observed and nominal coverage."""
        return float(np.abs(self.observed - np.array(LEVELS)).mean())

    def lines(self, protocol: str) -> list[tuple[object, ...]]:
        """Lines of ``calibration.csv``."""
        return [
            (protocol, self.label, self.records, level, float(seen))
            for level, seen in zip(LEVELS, self.observed, strict=True)
        ]


def calibration_of(entry: Entry) -> Calibration | None:
    """Coverage of the central intervals of normal distributions; None without any deviation."""
    from scipy.stats import norm

    p = entry.held
    known = np.isfinite(p.std)
    if not known.any():
        return None
    error, std = (p.prediction - p.target)[known], p.std[known]
    factor = norm.ppf(0.5 + np.array(LEVELS) / 2)
    inside = np.abs(error)[None] <= factor[:, None] * std[None]
    names = {name for name, has in zip(p.names, known, strict=True) if has}
    return Calibration(
        label=entry.label,
        records=len(names),
        observed=inside.mean(axis=1),
        sharpness=float(np.sqrt((std**2).mean())),
        rmse=float(np.sqrt((error**2).mean())),
    )
