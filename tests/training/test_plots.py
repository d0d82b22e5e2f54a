from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

import training.plots as module
from linegraph.errors import InputError
from training.metrics import regression_metrics
from training.plots import parity_panels, parity_plot

TARGET = np.array([0.2, 0.4, 0.6, 3.0, 1.1])
PREDICTION = np.array([0.25, 0.3, 0.7, 1.5, -0.2])
METRICS = regression_metrics(TARGET, PREDICTION)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures drawn, in the order they were saved."""
    drawn: list[Figure] = []
    save = module._save

    def keep(figure: Figure, path: Any) -> None:
        drawn.append(figure)
        save(figure, path)

    monkeypatch.setattr(module, "_save", keep)
    return drawn


def texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for axes in figure.axes for text in axes.texts)


def test_parity_plot_is_a_png_at_150_dpi(tmp_path: Path) -> None:
    path = tmp_path / "parity.png"
    parity_plot(path, TARGET, PREDICTION, title="test", metrics=METRICS)
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.info["dpi"] == pytest.approx((150, 150), abs=0.1)
        colours = image.convert("RGB").getcolors(maxcolors=2**24)
    assert colours is not None
    assert len(colours) > 50
    assert os.listdir(tmp_path) == ["parity.png"]


def test_parity_plot_shows_all_points_on_equal_axes(tmp_path: Path, figures: list[Figure]) -> None:
    parity_plot(tmp_path / "p.png", TARGET, PREDICTION, title="t", metrics=METRICS)
    main, above, beside = figures[0].axes
    np.testing.assert_allclose(
        np.asarray(main.collections[0].get_offsets()), np.column_stack([TARGET, PREDICTION])
    )
    assert main.get_xlim() == main.get_ylim() == above.get_xlim() == beside.get_ylim()
    low, high = main.get_xlim()
    assert low < PREDICTION.min()
    assert high > TARGET.max()
    diagonal = main.lines[0]
    assert diagonal.get_linestyle() == "--"
    np.testing.assert_array_equal(diagonal.get_xdata(), diagonal.get_ydata())


def test_histograms_count_targets_above_and_predictions_beside(
    tmp_path: Path, figures: list[Figure]
) -> None:
    target, prediction = np.full(40, 0.5), np.linspace(0, 2, 40)
    metrics = regression_metrics(target, prediction)
    parity_plot(tmp_path / "p.png", target, prediction, title="t", metrics=metrics)
    main, above, beside = figures[0].axes
    heights = [bar.get_bbox().height for bar in above.patches if isinstance(bar, Rectangle)]
    widths = [bar.get_bbox().width for bar in beside.patches if isinstance(bar, Rectangle)]
    assert sum(heights) == sum(widths) == 40
    assert max(heights) == 40
    assert max(widths) < 5
    # In line with the points: the same left edge and width, or bottom edge and height.
    assert above.get_position().intervalx == pytest.approx(main.get_position().intervalx)
    assert beside.get_position().intervaly == pytest.approx(main.get_position().intervaly)


def test_parity_plot_tells_the_metrics(tmp_path: Path, figures: list[Figure]) -> None:
    metrics = {**METRICS, "r2": 0.1234, "mae": 0.5678, "mae_se": 0.0456, "n": 5}
    parity_plot(tmp_path / "p.png", TARGET, PREDICTION, title="t", metrics=metrics)
    assert "= 0.123\n" in texts(figures[0])
    assert "MAE = 0.568 ± 0.046 eV" in texts(figures[0])
    assert texts(figures[0]).endswith("= 5")


def test_parity_plot_of_one_record(tmp_path: Path, figures: list[Figure]) -> None:
    metrics = regression_metrics([0.0], [0.0])
    parity_plot(tmp_path / "p.png", [0.0], [0.0], title="t", metrics=metrics)
    assert "= undefined" in texts(figures[0])
    assert "±" not in texts(figures[0])


def test_the_largest_errors_are_named_literally(tmp_path: Path, figures: list[Figure]) -> None:
    names = ["a_1", "b$_", "c", "$d^{$", "e"]
    parity_plot(
        tmp_path / "p.png", TARGET, PREDICTION, title="$\\frac{$", metrics=METRICS, labels=names
    )
    assert {text.get_text() for text in figures[0].axes[0].texts[1:]} == {"$d^{$", "e", "b$_"}


def test_parity_plot_refuses_what_it_cannot_draw(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    with pytest.raises(InputError, match="no records"):
        parity_plot(path, [], [], title="t", metrics=METRICS)
    with pytest.raises(InputError, match="5 targets but 1 labels"):
        parity_plot(path, TARGET, PREDICTION, title="t", metrics=METRICS, labels=["a"])
    with pytest.raises(InputError, match="cannot be written") as caught:
        parity_plot(tmp_path / "no" / "p.png", TARGET, PREDICTION, title="t", metrics=METRICS)
    assert caught.value.file == tmp_path / "no" / "p.png"
    assert os.listdir(tmp_path) == []


def panels_of(*names: str) -> list[tuple[str, Any, Any, Any]]:
    return [(name, TARGET + i, PREDICTION + i, METRICS) for i, name in enumerate(names)]


def test_parity_panels(tmp_path: Path, figures: list[Figure]) -> None:
    names = ["a_1", "b$_", "c", "$d^{$", "bulk modulus, log10", "f"]
    parity_panels(tmp_path / "p.png", panels_of(*names), title="MPT, $\\frac{$")
    with Image.open(tmp_path / "p.png") as image:
        assert image.format == "PNG"
        across, down = image.size
    # Four in a row at most.
    assert across > 1.5 * down
    (figure,) = figures
    assert len({round(axes.get_position().y0, 3) for axes in figure.axes}) == 2
    titles = [axes.title for axes in figure.axes]
    assert [title.get_text() for title in titles] == names
    for i, axes in enumerate(figure.axes):
        np.testing.assert_allclose(
            np.asarray(axes.collections[0].get_offsets()),
            np.column_stack([TARGET + i, PREDICTION + i]),
        )
        assert axes.get_xlim() == axes.get_ylim()
        assert axes.get_xlim()[0] < PREDICTION.min() + i
        assert axes.get_xlim()[1] > TARGET.max() + i
    # Values on a scale have no unit.
    assert f"MAE = {METRICS['mae']:.3f}" in texts(figure)
    assert "eV" not in texts(figure)
    assert os.listdir(tmp_path) == ["p.png"]


def test_titles_of_panels_keep_apart(tmp_path: Path, figures: list[Figure]) -> None:
    long = "piezoelectric modulus (largest longitudinal, |e_ij|max) of all crystals"
    parity_panels(tmp_path / "p.png", panels_of(long, long.replace(" ", "e"), long), title="t")
    figures[0].canvas.draw()  # in the figure's own resolution, not the file's
    boxes = [axes.title.get_window_extent() for axes in figures[0].axes]
    for left, right in pairwise(boxes):
        assert left.x1 < right.x0
    assert max(box.y1 for box in boxes) < figures[0].get_window_extent().y1
    assert figures[0].axes[0].title.get_text().split() == long.split()


@pytest.mark.parametrize("count", [1, 4, 5])
def test_parity_panels_are_as_large_as_they_need(
    count: int, tmp_path: Path, figures: list[Figure]
) -> None:
    parity_panels(tmp_path / "p.png", panels_of(*"abcde"[:count]), title="t")
    assert len(figures[0].axes) == count
    width, height = figures[0].get_size_inches()
    assert width == pytest.approx(2.7 * min(4, count))
    assert height == pytest.approx(0.4 + 2.8 * (2 if count > 4 else 1))


def test_parity_panel_of_one_record(tmp_path: Path, figures: list[Figure]) -> None:
    panel = ("one", [0.5], [0.25], regression_metrics([0.5], [0.25]))
    parity_panels(tmp_path / "p.png", [panel], title="t")
    assert "= undefined" in texts(figures[0])
    assert "±" not in texts(figures[0])


def test_parity_panels_refuse_what_they_cannot_draw(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    with pytest.raises(InputError, match="nothing to plot"):
        parity_panels(path, [], title="t")
    with pytest.raises(InputError, match="no records"):
        parity_panels(path, [("a", [], [], METRICS)], title="t")
    with pytest.raises(InputError, match="5 targets but 1 predictions"):
        parity_panels(path, [*panels_of("a"), ("b", TARGET, [1.0], METRICS)], title="t")
    with pytest.raises(InputError, match="NaN"):
        parity_panels(path, [("a", [1.0], [np.nan], METRICS)], title="t")
    with pytest.raises(InputError, match="cannot be written"):
        parity_panels(tmp_path / "no" / "p.png", panels_of("a"), title="t")
    assert os.listdir(tmp_path) == []


def test_no_global_state_and_no_import_before_drawing(tmp_path: Path) -> None:
    script = (
        "import sys, training.plots as plots\n"
        "assert 'matplotlib' not in sys.modules\n"
        "metrics = {'r2': None, 'mae': 0.1, 'mae_se': 0.0, 'n': 1}\n"
        "plots.parity_plot(sys.argv[1], [1.0], [1.1], title='t', metrics=metrics)\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "h.png")],
        check=True,
        cwd=Path(__file__).parents[2],
    )
