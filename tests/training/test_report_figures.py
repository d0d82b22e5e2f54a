from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from training.judging import figures
from training.judging.calibration import LEVELS, Calibration
from training.judging.curve import Curve, Point
from training.judging.experiments import Compared, Experiment
from training.judging.scores import Paired, Score

from .test_breakdown import entry

NAMED = "$m_1$ _<b>"


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures, in the order they were saved."""
    kept: list[Figure] = []
    save = Figure.savefig

    def keep(self: Figure, *args: Any, **named: Any) -> None:
        kept.append(self)
        save(self, *args, **named)

    monkeypatch.setattr(Figure, "savefig", keep)
    return kept


def is_png(path: Path) -> bool:
    with Image.open(path) as image:
        return image.format == "PNG" and min(image.size) > 150


def experiment(compound: str, enthalpy: float, record: str) -> Experiment:
    return Experiment(compound, "Li", enthalpy, "NMR", "Someone", "", "search", record, "")


def test_learning_curve_has_two_bars_a_size(tmp_path: Path, drawn: list[Figure]) -> None:
    points = [
        Point("half", 0.5, 200.4, Score(0.4, 0.02), Score(0.7, 0.1)),
        Point(NAMED, 1.0, 400.0, Score(0.3, None), Score(None, None)),
    ]
    figures.learning_curve(tmp_path / "c.png", Curve(NAMED, points))
    assert is_png(tmp_path / "c.png")
    (axes,) = drawn[0].axes
    heights = [[bar.get_height() for bar in bars] for bars in axes.containers if len(bars) == 2
               and hasattr(bars[0], "get_height")]  # fmt: skip
    assert heights[0][0] == pytest.approx(0.3)
    assert np.isnan(heights[0][1])
    assert heights[1] == [0.4, 0.3]
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert ticks == ["200\n(50 %)", "400\n(100 %)"]
    assert axes.get_title(loc="left") == NAMED


def test_differences_show_intervals(tmp_path: Path, drawn: list[Figure]) -> None:
    pairs = [
        (entry(NAMED, [0.0], [0.1]), Paired(-0.02, 0.01, -0.04, 0.0, 9)),
        (entry("b", [0.0], [0.1]), Paired(0.03, 0.01, 0.01, 0.05, 9)),
        (entry("far", [0.0], [0.1]), Paired(2.0, 0.4, 1.2, 2.8, 9)),
    ]
    figures.differences(tmp_path / "d.png", "ref", pairs)
    (axes,) = drawn[0].axes
    low, high = axes.get_xlim()
    # One that is far off does not press the others together; it is told in words.
    assert low < -0.04 and 0.05 < high < 0.1
    assert [text.get_text() for text in axes.texts] == ["+2.00 →"]
    assert [label.get_text() for label in axes.get_yticklabels()] == [NAMED, "b", "far"]
    assert is_png(tmp_path / "d.png")


def test_differences_all_of_a_size_are_all_shown(tmp_path: Path, drawn: list[Figure]) -> None:
    pairs = [(entry("b", [0.0], [0.1]), Paired(2.0, np.nan, np.nan, np.nan, 1))]
    figures.differences(tmp_path / "d.png", "ref", pairs)
    (axes,) = drawn[0].axes
    assert not axes.texts
    assert axes.get_xlim()[1] > 2


def test_coverage(tmp_path: Path, drawn: list[Figure]) -> None:
    found = [Calibration(NAMED, 5, np.array(LEVELS) ** 2, 0.1, 0.2)]
    figures.coverage(tmp_path / "c.png", found)
    (axes,) = drawn[0].axes
    np.testing.assert_allclose(axes.lines[1].get_ydata(), np.array(LEVELS) ** 2)
    assert is_png(tmp_path / "c.png")


def test_enthalpies(tmp_path: Path, drawn: list[Figure]) -> None:
    found = [
        Compared(experiment("A_$x", 0.3, "r0"), 0.25, {"m": 0.4}),
        Compared(experiment("B", 0.5, "r1"), None, {"m": -0.1}),
        Compared(experiment("C", 0.9, ""), None, {}),
    ]
    figures.enthalpies(tmp_path / "e.png", found, ["m"])
    (axes,) = drawn[0].axes
    computed, model = (np.asarray(points.get_offsets()) for points in axes.collections)
    assert computed[0].tolist() == [0.25, 0.3]
    assert model.tolist() == [[0.4, 0.3], [-0.1, 0.5]]
    # A compound without anything to compare with is in the table, not in the figure.
    assert [text.get_text() for text in axes.texts] == ["A_$x", "B"]
    assert axes.get_xlim()[0] < -0.1
    assert is_png(tmp_path / "e.png")
