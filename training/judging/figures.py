"""Figures of a report, without pyplot."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from linegraph.atomic_files import replacing
from training.plots import parity_plot

from .calibration import LEVELS, Calibration
from .curve import Curve
from .experiments import Compared
from .inputs import Entry
from .predictions import Predictions
from .scores import Paired
from .table import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BLUE, _RED, _GREY = "#2b6ca3", "#c0504d", "#666666"
#: One after the other for models in one figure: also apart for the colour-blind.
_COLOURS = ("#2b6ca3", "#d98a1f", "#3f8f5f", "#8a5aa8", "#c0504d", "#666666")
_MARKERS = "os^Dvp"
_DPI = 150
#: An interval that reaches so many times further than the next one is left out of a figure.
_FAR = 3.0


def parity(path: Path, p: Predictions, row: Row) -> None:
    """Prediction against target of one model (Figures S3 and S4)."""
    mae, r2 = row.scores["mae"], row.scores["r2"]
    parity_plot(
        path,
        p.target,
        p.prediction,
        title=row.label,
        metrics={"mae": mae.value, "mae_se": mae.error or 0.0, "r2": r2.value, "n": row.records},
        labels=p.names,
    )


def learning_curve(path: Path, curve: Curve) -> None:
    """Bars of MAE and of 1 - R2 against training-set size (Figure S5)."""
    figure = _figure(6.4, 3.8)
    axes = figure.add_subplot()
    place = np.arange(len(curve.points))
    series: tuple[tuple[Any, ...], ...] = (
        (-0.2, _BLUE, "$1 - R^2$", [(_less(p.r2.value), p.r2.error) for p in curve.points]),
        (0.2, _RED, "MAE (eV)", [(p.mae.value, p.mae.error) for p in curve.points]),
    )
    for shift, colour, label, values in series:
        heights = [np.nan if value is None else value for value, _ in values]
        errors = [error or 0.0 for _, error in values]
        bars = axes.bar(place + shift, heights, 0.36, color=colour, alpha=0.85, label=label)
        axes.errorbar(place + shift, heights, errors, fmt="none", ecolor="#333333", capsize=3, lw=1)
        axes.bar_label(bars, fmt="%.3f", fontsize=8, padding=2, label_type="center", color="white")
    ticks = [f"{p.size:.0f}\n({100 * p.fraction:g} %)" for p in curve.points]
    axes.set_xticks(place, ticks)
    axes.set_xlabel("Training records, the mean over folds (and as part of all)")
    axes.set_title(curve.label, fontsize=11, loc="left", parse_math=False)
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    _finish(figure, axes, path)


def differences(path: Path, reference: str, pairs: Sequence[tuple[Entry, Paired]]) -> None:
    """Difference of mean absolute errors to the reference, with 95 % intervals."""
    figure = _figure(7.0, 1.1 + 0.32 * len(pairs))
    axes = figure.add_subplot()
    axes.axvline(0.0, color=_GREY, lw=1, ls="--", zorder=1)
    low, high = _window([p for _, p in pairs])
    for place, (_, p) in enumerate(pairs):
        colour = _BLUE if p.low > 0 or p.high < 0 else _GREY
        if low <= p.mae <= high:
            axes.plot([p.low, p.high], [place, place], color=colour, lw=2)
            axes.plot([p.mae], [place], "o", color=colour, ms=6)
            continue
        outside, side = (high, "right") if p.mae > high else (low, "left")
        arrow = f"{p.mae:+.2f} →" if side == "right" else f"← {p.mae:+.2f}"
        axes.text(outside, place, arrow, ha=side, va="center", fontsize=9, color=colour)
    axes.set_xlim(low, high)
    axes.set_ylim(len(pairs) - 0.5, -0.5)
    axes.set_yticks(range(len(pairs)), [_short(e.label) for e, _ in pairs])
    for text in axes.get_yticklabels():
        text.set_parse_math(False)
    axes.set_xlabel(f"MAE minus that of {_short(reference)} (eV)", parse_math=False)
    axes.grid(axis="x", color="#e5e7ea", lw=0.8)
    axes.set_axisbelow(True)
    _finish(figure, axes, path)


def coverage(path: Path, found: Sequence[Calibration]) -> None:
    """Observed against nominal coverage of intervals."""
    figure = _figure(5.2, 4.6)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], ls="--", lw=1, color=_GREY)
    for number, one in enumerate(found):
        axes.plot(
            LEVELS, one.observed, marker=_MARKERS[number % len(_MARKERS)], ms=5, lw=1.5,
            color=_COLOURS[number % len(_COLOURS)], label=_literal(_short(one.label)),
        )  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xlabel("Nominal coverage")
    axes.set_ylabel("Observed coverage")
    axes.legend(frameon=False, fontsize=9, loc="upper left")
    _finish(figure, axes, path)


def enthalpies(path: Path, found: Sequence[Compared], models: Sequence[str]) -> None:
    """Experimental migration enthalpy against computed and predicted barriers (Figure S1)."""
    figure = _figure(6.4, 5.0)
    axes = figure.add_subplot()
    shown = [one for one in found if one.barrier is not None or one.predicted]
    series: list[tuple[str, list[float | None]]] = [("computed", [one.barrier for one in shown])]
    series += [(_short(m), [one.predicted.get(m) for one in shown]) for m in models]
    heights = [one.experiment.enthalpy or 0.0 for one in shown]
    everything = [v for _, column in series for v in column if v is not None]
    highest = 1.08 * max(*everything, *heights, 0.1)
    lowest = min(0.0, 1.08 * min(everything))
    axes.plot([lowest, highest], [lowest, highest], ls="--", lw=1, color=_GREY, zorder=1)
    for number, (name, column) in enumerate(series):
        axes.scatter(
            [np.nan if v is None else v for v in column], heights, s=34 if number else 52,
            marker=_MARKERS[number % len(_MARKERS)], color=_COLOURS[number % len(_COLOURS)],
            alpha=0.85, label=_literal(name), edgecolors="white", linewidths=0.5, zorder=2,
        )  # fmt: skip
    for one, value in zip(shown, heights, strict=True):
        # Beside the computed barrier, or where there is none, beside the first prediction.
        x = one.barrier if one.barrier is not None else next(iter(one.predicted.values()))
        axes.annotate(
            one.experiment.compound, (x, value), xytext=(6, 5), fontsize=8,
            textcoords="offset points", color="#333333", parse_math=False,
        )  # fmt: skip
    axes.set(xlim=(lowest, highest), ylim=(0, highest))
    axes.set_xlabel("Barrier $E_m$ (eV)")
    axes.set_ylabel("Experimental migration enthalpy (eV)")
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    _finish(figure, axes, path)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def _finish(figure: Figure, axes: Axes, path: Path) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)
    figure.tight_layout()
    with replacing(path) as partial:
        figure.savefig(partial, dpi=_DPI)


def _window(pairs: Sequence[Paired]) -> tuple[float, float]:
    """What the axis of differences shows: everything, unless one model hides the others."""
    ends = sorted(
        (max(abs(e) for e in (p.low, p.high, p.mae) if np.isfinite(e)) for p in pairs), reverse=True
    )
    shown = next((e for e, after in pairwise([*ends, ends[-1]]) if e <= _FAR * after), ends[-1])
    inside = [p for p in pairs if abs(p.mae) <= shown]
    values = [e for p in inside for e in (p.low, p.high, p.mae, 0.0) if np.isfinite(e)]
    margin = 0.05 * max(max(values) - min(values), 1e-3)
    return min(values) - margin, max(values) + margin


def _less(r2: float | None) -> float | None:
    return None if r2 is None else 1.0 - r2


def _short(label: str) -> str:
    return label if len(label) <= 36 else label[:35] + "…"


def _literal(label: str) -> str:
    """A legend would read dollar signs as mathematics, and hide what starts with a line."""
    return " " + label.replace("$", r"\$")
