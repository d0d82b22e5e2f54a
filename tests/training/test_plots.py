from __future__ import annotations

import os
import subprocess
import sys
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
from training.plots import parity_plot

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
