"""The page of ``predict --html``: what stands in it, and what a browser makes of it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from linegraph import InputError
from linegraph.ensemble import Ensemble
from linegraph.ensemble_file import load_ensemble, save_ensemble
from linegraph.percolation import Direction, Percolation
from linegraph.prediction import predict_bands
from tests.bands import some_bands
from tests.ensembles import ensemble_of
from tests.integration.command import assert_says, linegraph, refused
from tests.integration.test_cli import write_structure
from tests.linegraph.test_hops import cell_of, structure
from tests.predictions import NEAREST, predicted
from tests.training.test_report_page import Page
from training.bands import Band
from training.predict_command import predict as command
from training.predict_files import BandFile, CrystalFile, predict_files
from training.predict_output import cautions
from training.starter import starter_bands
from training.viewer import page as pages
from training.viewer.page import write_page
from training.viewer.tables import NONE


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    return ensemble_of(starter_bands()[:14])


@pytest.fixture(scope="module")
def weights(ensemble: Ensemble, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "ensemble.safetensors"
    save_ensemble(path, ensemble)
    return path


class Shown(Page):
    """What people read of a page: all but its scripts."""

    def __init__(self, path: Path) -> None:
        text = re.sub(r"<script\b.*?</script>", "", path.read_text(encoding="utf-8"), flags=re.S)
        plain = path.with_name("plain.html")
        plain.write_text(text, encoding="utf-8")
        super().__init__(plain)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        super().handle_starttag(tag, attrs)
        if tag == "input":
            self.open.pop()


class Case(NamedTuple):
    """A page, the JSON of the same predictions, and all of the page."""

    page: Page
    said: dict[str, Any]
    text: str


@pytest.fixture(scope="module")
def case(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Two crystals, a band and a failure, of files with odd names."""
    folder = tmp_path_factory.mktemp("page")
    given = [folder / name for name in ("<b>olivine.cif", "POSCAR", "band&1.cif", "none.cif")]
    structure("LiFePO4").to(filename=str(given[0]))
    structure("NaCl").to(filename=str(given[1]), fmt="poscar")
    write_structure(given[2], some_bands()[0])
    given[3].write_text("nothing <script>alert(1)</script>")
    out = {name: folder / f"out.{name}" for name in ("html", "json")}
    words = ["--weights", weights, "--html", out["html"], "--json", out["json"], "--level", 0.8]
    shown = linegraph("predict", *given, *words, "--max-length", 6, code=2).stdout
    assert f"written to   {out['html']}\n" in shown
    text = out["html"].read_text(encoding="utf-8")
    return Case(Shown(out["html"]), json.loads(out["json"].read_text()), text)


def shown_interval(row: dict[str, Any]) -> str:
    return f"{row['low_eV']:.2f} to {row['high_eV']:.2f}"


def test_every_hop_and_number_is_on_the_page(case: Case) -> None:
    text, said = case[0].text, case[1]
    assert len(said["crystals"]) == 2 and len(said["bands"]) == 1 and len(said["failures"]) == 1
    for crystal in said["crystals"]:
        assert f"{crystal['formula']}, hops of {crystal['ion']}" in text
        assert f"{crystal['file']}, taken for a crystal" in text
        for vector, name in zip(crystal["lattice_A"], "abc", strict=True):
            assert f"{name} {' '.join(f'{x:.4f}' for x in vector)}" in text
        for hop in crystal["hops"]:
            below = f"{100 * hop['probability_below_threshold']:.0f} %"
            mark = ("*" if hop["outside"] else "") + ("!" if hop["blocked"] else "")
            row = [hop["hop"], f"{hop['length_A']:.3f}", str(hop["multiplicity"]),
                   f"{hop['barrier_eV']:.3f}", shown_interval(hop), below, mark]  # fmt: skip
            assert " ".join(row).strip() in text
            row = [hop["hop"], f"{hop['initial_site']} to {hop['final_site']}",
                   *map(str, hop["final_image"]),
                   *(f"{x:.4f}" for x in hop["start_fractional"] + hop["end_fractional"]),
                   f"{hop['closest_approach_A']:.2f}", f"{hop['distance']:.3g}",
                   "; ".join(hop["nearest"])]  # fmt: skip
            assert " ".join(row) in text
        for level in crystal["percolation"]:
            if level["barrier_eV"] is None:
                assert f"{level['dimension']}D never with these hops {NONE} {NONE}" in text
                continue
            numbers = f"{level['barrier_eV']:.3f} {shown_interval(level)}"
            found = Percolation(level["dimension"], level["barrier_eV"], directions(level))
            assert f"{level['dimension']}D {str(found).split(', ', 1)[1]} {numbers}" in text
        for level in crystal["percolation_without_blocked"]:
            if crystal["percolation_without_blocked"] != [
                {**one, "low_eV": None, "high_eV": None} for one in crystal["percolation"]
            ]:
                assert f"{level['dimension']}D without paths marked !" in text
    (band,) = said["bands"]
    below = f"{100 * band['probability_below_threshold']:.0f} %"
    row = [band["band"], band["file"], band["ion"], f"{band['length_A']:.3f}",
           f"{band['barrier_eV']:.3f}", shown_interval(band), below]  # fmt: skip
    assert " ".join(row) in text
    assert f"{band['file']}: read as a band, atoms 0 to 4 being the images" in text
    assert said["failures"][0]["error"] in text
    assert "By MODEL-4, the mean of 2 networks, trained on 14 records" in text
    assert "80 % interval" in text and "P(< 0.65 eV)" in text


def directions(level: dict[str, Any]) -> tuple[tuple[Direction, ...], ...]:
    return tuple(tuple((u, v, w) for u, v, w in network) for network in level["directions"])


def test_percolation_and_cautions_in_words(weights: Path, tmp_path: Path) -> None:
    structure("NaCl").to(filename=str(tmp_path / "salt.cif"))
    (salt,) = predict_files([tmp_path / "salt.cif"], weights, max_length=6)
    assert isinstance(salt, CrystalFile)
    (tmp_path / "page.html").write_text("")
    write_page(tmp_path / "page.html", [salt], load_ensemble(weights))
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    for line in salt.prediction.in_words():
        assert f"<li>{line}</li>" in text
    assert "! passes an atom nearer than 1 Å" in text
    assert "where no ion fits (--idpp bends paths)" in text
    # What has been done already is no advice.
    lines = cautions(replace(salt.prediction, idpp=True))
    assert "where no ion fits (even on its bent path)" in lines[-1]


def test_the_page_stands_alone(case: Case) -> None:
    page, _, text = case
    assert page.tags.isdisjoint({"link", "iframe", "object", "embed"})
    assert all(link.startswith(("data:", "#")) for link in page.links)
    # Neither in a tag that is written out nor in a style.
    assert not re.search(r"<script[^>]+src=", text)
    assert "@import" not in text.split("</style>")[0]
    assert text.count("<script>") == 2
    assert len(text) < 15e6


def test_names_are_text(case: Case) -> None:
    page, said, text = case
    assert "<b>olivine.cif" in page.text
    assert "<b>olivine" not in text
    assert "alert(1)" not in text or "&lt;script&gt;alert(1)" in text
    assert said["failures"][0]["file"].endswith("none.cif")


def test_names_of_records_are_text(ensemble: Ensemble, tmp_path: Path) -> None:
    found = CrystalFile(Path("</script>.cif"), predicted(cell_of("LiFePO4"), [0.2], outside=True))
    write_page(tmp_path / "page.html", [found], ensemble)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    scene = text.split('<script type="application/json">')[1].split("</script>")[0]
    hovered = [trace.get("hovertemplate", "") for trace in json.loads(scene)["data"]]
    assert any("&lt;b&gt;known" in text for text in hovered)
    assert NEAREST[0] not in text
    assert "&lt;/script&gt;.cif" in text
    assert "* Li1-Li1-1 is unlike the training records" in text


def test_pictures_are_left_out_where_the_page_would_be_too_large(
    ensemble: Ensemble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = CrystalFile(Path("a.cif"), predicted(cell_of("NaCl"), [0.4]))
    write_page(tmp_path / "page.html", [one, one], ensemble)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.count('class="scene"') == 2
    size = len(text.split('<script type="application/json">')[1].split("</script>")[0])
    monkeypatch.setattr(pages, "MAX_SCENES", size + 10)
    write_page(tmp_path / "page.html", [one, one], ensemble)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.count('class="scene"') == 1
    assert text.count("The picture is left out") == 1
    assert text.count("<h2>") == 3
    monkeypatch.setattr("training.viewer.network.MAX_LINES", 1)
    monkeypatch.setattr("training.viewer.network.MAX_ATOMS", 20)
    one = CrystalFile(Path("a.cif"), predicted(cell_of("LiFePO4"), [0.4, 0.5]))
    write_page(tmp_path / "page.html", [one], ensemble)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "1 hops of the highest barriers are not drawn" in text
    assert "19 atoms of the host are not drawn" in text


def test_without_intervals(tmp_path: Path, ensemble: Ensemble) -> None:
    bare = Ensemble(ensemble.name, ensemble.config, {}, ensemble.members[:1])
    bands = [Band("mine", some_bands()[0].cell)]
    found = [
        CrystalFile(Path("a.cif"), predicted(cell_of("LiFePO4"), [0.2], calibrated=False)),
        BandFile(Path("b.json"), bands, predict_bands([bands[0].cell], weights=bare)),
    ]
    write_page(tmp_path / "page.html", found, bare)
    text = (tmp_path / "page.html").read_text(encoding="utf-8").split("<script>")[0]
    assert "There are no intervals" in text
    assert "% interval" not in text and "P(" not in text
    assert "0.200" in text and "mine" in text


def test_nothing_is_predicted_without_plotly_or_folder(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    structure("NaCl").to(filename=str(tmp_path / "salt.cif"))
    words = ["predict", tmp_path / "salt.cif", "--weights", weights, "--html"]
    line = refused(*words, tmp_path / "none" / "page.html")
    assert_says(line, tmp_path / "none" / "page.html", "no such folder")

    def missing() -> None:
        raise InputError("pictures in 3D need plotly: pip install 'linegraph[html]'")

    monkeypatch.setattr("training.viewer.scene.check_plotly", missing)
    monkeypatch.setattr("linegraph.prediction.usable_weights", None)
    assert_says(refused(*words, tmp_path / "page.html"), "pip install 'linegraph[html]'")
    assert not (tmp_path / "page.html").exists()


def test_an_interruption_loses_nothing(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    structure("NaCl").to(filename=str(tmp_path / "salt.cif"))

    def interrupted(*args: Any, **settings: Any) -> Any:
        yield next(iter(predict_files(*args, **settings)))
        raise KeyboardInterrupt

    monkeypatch.setattr("training.predict_files.predict_files", interrupted)
    out = tmp_path / "page.html"
    words = [str(tmp_path / "salt.cif"), "--weights", str(weights), "--html", str(out)]
    assert CliRunner().invoke(command, words).exit_code != 0
    assert "NaCl, hops of Na" in out.read_text(encoding="utf-8")
