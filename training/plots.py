"""Figures of a run. Matplotlib is imported where one is drawn, and never through pyplot."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from linegraph.atomic_files import replacing
from linegraph.errors import InputError

from .metrics import FloatArray, checked_pair

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BLUE, _GREY = "#2b6ca3", "#666666"
_DPI = 150
_BINS = 30
#: Characters in a line above a panel.
_LINE = 34
#: Points that get their name written next to them: the ones a reader would ask about.
_NAMED = 3


def parity_plot(
    path: str | os.PathLike[str],
    target: ArrayLike,
    prediction: ArrayLike,
    *,
    title: str,
    metrics: Mapping[str, Any],
    labels: Sequence[str] | None = None,
) -> None:
    """Prediction against target, with the distribution of both (as Figures S3 and S4).

    Args:
        path: file to write, in the format its suffix names (``.png``, ``.pdf``, ``.svg``).
        target: ``[n]`` true values in eV.
        prediction: ``[n]`` predicted values in eV.
        title: written above the plot, literally.
        metrics: the block of :func:`training.metrics.regression_metrics` for these records.
        labels: name of each record; the largest errors are then named in the plot.

    Raises:
        InputError: no records, unequal lengths, values that are not finite, or a file that
            cannot be written.
    """
    true, predicted = checked_pair(target, prediction)
    if labels is not None and len(labels) != len(true):
        raise InputError(f"{len(true)} targets but {len(labels)} labels")
    figure = _figure(5.4, 5.4)
    # A square in a square figure: equal axes then fill it, and the histograms stay in line.
    main = figure.add_axes((0.12, 0.11, 0.67, 0.67))
    above = figure.add_axes((0.12, 0.80, 0.67, 0.12), sharex=main)
    beside = figure.add_axes((0.81, 0.11, 0.12, 0.67), sharey=main)
    lowest, highest = _range(true, predicted)
    margin = 0.03 * (highest - lowest)
    low, high = lowest - margin, highest + margin

    main.plot([low, high], [low, high], ls="--", lw=1, color=_GREY, zorder=1)
    main.scatter(
        true, predicted, s=22, color=_BLUE, alpha=0.55, edgecolors="white", linewidths=0.4, zorder=2
    )
    main.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    main.set_xlabel("Target $E_m$ (eV)")
    main.set_ylabel("Predicted $E_m$ (eV)")
    x, y, across, along = _free_corner(true, predicted, lowest, highest)
    main.text(
        x, y, _summary(metrics), transform=main.transAxes, ha=across, va=along, fontsize=9.5,
        linespacing=1.4, bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 2},
    )  # fmt: skip
    if labels is not None:
        _name_largest_errors(main, true, predicted, labels)

    bins = np.linspace(lowest, highest, _BINS + 1)
    look: dict[str, Any] = {"bins": bins, "alpha": 0.8, "rwidth": 0.92}
    above.hist(true, color=_GREY, **look)
    beside.hist(predicted, color=_BLUE, orientation="horizontal", **look)
    above.tick_params(labelbottom=False)
    beside.tick_params(labelleft=False)
    above.set_ylabel("Count", fontsize=9)
    beside.set_xlabel("Count", fontsize=9)
    for axes in (main, above, beside):
        _tidy(axes)
    figure.suptitle(title, fontsize=11, x=0.12, y=0.97, ha="left", parse_math=False)
    _save(figure, path)


def parity_panels(
    path: str | os.PathLike[str],
    panels: Sequence[tuple[str, ArrayLike, ArrayLike, Mapping[str, Any]]],
    *,
    title: str,
) -> None:
    """Prediction against target, one panel a quantity.

    Args:
        path: file to write, in the format its suffix names.
        panels: name, ``[n]`` true values, ``[n]`` predicted values and the block of
            :func:`training.metrics.regression_metrics` for them; at least one.
        title: written above all panels, literally.

    Raises:
        InputError: no panels or no records, unequal lengths, values that are not finite, or a
            file that cannot be written.
    """
    if not panels:
        raise InputError("there is nothing to plot")
    across = min(4, len(panels))
    down = -(-len(panels) // across)
    figure = _figure(2.7 * across, 2.8 * down + 0.4)
    for place, (name, target, prediction, metrics) in enumerate(panels, start=1):
        true, predicted = checked_pair(target, prediction)
        axes = figure.add_subplot(down, across, place)
        lowest, highest = _range(true, predicted)
        margin = 0.03 * (highest - lowest)
        limits = (lowest - margin, highest + margin)
        axes.plot(limits, limits, ls="--", lw=1, color=_GREY, zorder=1)
        axes.scatter(true, predicted, s=6, color=_BLUE, alpha=0.4, edgecolors="none", zorder=2)
        axes.set(xlim=limits, ylim=limits, aspect="equal")
        # Lines as wide as a panel; matplotlib itself would wrap at the edge of the figure.
        axes.set_title(fill(name, _LINE), fontsize=9, parse_math=False)
        x, y, side, along = _free_corner(true, predicted, lowest, highest)
        text = _summary(metrics, unit="")
        axes.text(x, y, text, transform=axes.transAxes, ha=side, va=along, fontsize=7.5)
        _tidy(axes)
    figure.supxlabel("Target", fontsize=9)
    figure.supylabel("Predicted", fontsize=9)
    figure.suptitle(title, fontsize=11, parse_math=False)
    figure.tight_layout()
    _save(figure, path)


def _figure(width: float, height: float) -> Figure:
    """A figure drawn by Agg, of the given size in inches, unknown to pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: str | os.PathLike[str]) -> None:
    with replacing(path) as partial:
        figure.savefig(partial, dpi=_DPI)


def _range(true: FloatArray, predicted: FloatArray) -> tuple[float, float]:
    """What both axes have to show, in eV: all values and zero."""
    lowest = min(0.0, float(true.min()), float(predicted.min()))
    highest = max(0.0, float(true.max()), float(predicted.max()))
    return (lowest, highest) if highest > lowest else (0.0, 1.0)


def _free_corner(
    true: FloatArray, predicted: FloatArray, lowest: float, highest: float
) -> tuple[float, float, str, str]:
    """Place and alignment of the text in the corner off the diagonal that holds fewer points."""
    x, y = (true - lowest) / (highest - lowest), (predicted - lowest) / (highest - lowest)
    above, below = (x < 0.5) & (y > 0.8), (x > 0.5) & (y < 0.2)
    if above.sum() <= below.sum():
        return 0.04, 0.96, "left", "top"
    return 0.96, 0.04, "right", "bottom"


def _summary(metrics: Mapping[str, Any], unit: str = " eV") -> str:
    r2 = "undefined" if metrics["r2"] is None else f"{metrics['r2']:.3f}"
    # One record has no spread to tell a standard error from.
    mae_se = f" ± {metrics['mae_se']:.3f}" if metrics["n"] > 1 else ""
    return f"$R^2$ = {r2}\nMAE = {metrics['mae']:.3f}{mae_se}{unit}\n$n$ = {metrics['n']}"


def _name_largest_errors(
    axes: Axes, true: FloatArray, predicted: FloatArray, labels: Sequence[str]
) -> None:
    middle = sum(axes.get_xlim()) / 2
    for i in np.argsort(-np.abs(predicted - true), kind="stable")[:_NAMED]:
        # Towards the middle, where the name cannot run out of the plot.
        left = true[i] > middle
        axes.annotate(
            labels[i], (true[i], predicted[i]), xytext=(-5 if left else 5, 4), fontsize=7.5,
            textcoords="offset points", ha="right" if left else "left", color=_GREY,
            parse_math=False,
        )  # fmt: skip


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)
