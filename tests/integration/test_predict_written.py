"""Files that `predict` writes: refused beforehand where they cannot be, and each on its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from linegraph.ensemble_file import load_ensemble
from tests.errors import message_of
from tests.integration.command import assert_says, linegraph
from tests.integration.test_cli import table
from tests.linegraph.test_hops import structure
from training.files import check_outputs
from training.predict_files import predict_files
from training.predict_written import write_predictions


def test_a_folder_that_nothing_can_be_created_in_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_outputs(None, tmp_path / "out.csv")
    # Who is root may write everywhere.
    monkeypatch.setattr(os, "access", lambda path, mode: path != os.path.realpath(tmp_path))
    line = message_of(lambda: check_outputs(None, tmp_path / "out.csv"))
    assert_says(line, tmp_path / "out.csv", f"nothing can be created in {tmp_path}")
    (tmp_path / "inner").mkdir()
    check_outputs(tmp_path / "inner" / "out.csv")


def test_no_output_replaces_an_input(tmp_path: Path) -> None:
    """The command, too: before it looks at the file."""
    crystal, link = tmp_path / "mine.cif", tmp_path / "link.json"
    crystal.write_text("mine")
    link.symlink_to(crystal)
    for out in (crystal, link):
        found = linegraph("predict", crystal, "--json", out, code=2)
        assert_says(found.stderr, out, "cannot be written (it is an input of this command)")
    assert crystal.read_text() == "mine"


def test_no_output_replaces_another(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    for other in (tmp_path / "out", tmp_path / "link" / "out"):
        line = message_of(lambda: check_outputs(tmp_path / "out", other))  # noqa: B023
        assert_says(line, other, "is named twice")


def test_a_file_that_cannot_be_written_costs_no_other(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is in the way only once the predictions are there."""
    crystal = tmp_path / "LiFePO4.cif"
    structure("LiFePO4").to(filename=str(crystal), symprec=1e-3)
    out = {name: tmp_path / f"out.{name}" for name in ("json", "csv")}

    def late(*args: Any, **settings: Any) -> Any:
        yield from predict_files(*args, **settings)
        out["json"].mkdir()

    words = ["predict", crystal, "--weights", weights]
    words += [word for name, path in out.items() for word in (f"--{name}", path)]
    with monkeypatch.context() as patch:
        patch.setattr("training.predict_files.predict_files", late)
        shown = linegraph(*words, code=2)
    assert_says(shown.stderr, f"error: {out['json']}: cannot be written")
    assert [row["compound"] for row in table(out["csv"])] == ["LiFePO4"] * 2
    # The first of several errors is told.
    ensemble = load_ensemble(weights)
    found = list(predict_files([crystal], ensemble))
    line = message_of(
        lambda: write_predictions(
            found, ensemble, 0.9, 0.65, json=out["json"], csv=tmp_path / "none" / "out.csv"
        )
    )
    assert_says(line, out["json"])
