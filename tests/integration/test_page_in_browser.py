"""The page of ``predict --html`` in a browser without a window."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from linegraph.ensemble_file import load_ensemble
from tests.linegraph.test_hops import cell_of
from tests.predictions import predicted
from training.predict_files import CrystalFile
from training.viewer.colors import barrier_color
from training.viewer.page import write_page

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)

needs_browser = pytest.mark.skipif(not BROWSER, reason="no chromium is installed")


def browse(page: Path, *words: str) -> str:
    """What a browser without a window prints."""
    flags = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={page.parent / 'profile'}", "--virtual-time-budget=40000",
    ]  # fmt: skip
    command = [BROWSER, *flags, *words, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=150).stdout


#: Collects what goes wrong, and hands out what was found once there is nothing more to do.
WATCH = """<script>
window.wrong = [];
addEventListener("error", (event) => wrong.push(event.message));
addEventListener("unhandledrejection", (event) => wrong.push(String(event.reason)));
const all = (what, of) => Array.from(document.querySelectorAll(what), of);
const when = (ready) => new Promise((then) => {
  const timer = setInterval(() => { if (ready()) { clearInterval(timer); then(); } }, 100);
});
const shots = () => all(".paper", (image) => image.src.length > 100 ? image.src : "");
const opaque = () => all(".scene", (s) => s.data.map((t) => t.opacity));
function tell(found) {
  const place = document.createElement("script");
  place.type = "application/json";
  place.id = "found";
  place.textContent = JSON.stringify({ wrong, ...found });
  document.body.append(place);
}
addEventListener("load", async () => { STEPS });
</script>"""

#: Pick out the first network, then turn the crystal.
PICK_AND_TURN = """
await when(() => shots().every(Boolean));
const before = opaque(), first = shots();
document.querySelectorAll(".choice input:enabled")[1].click();
await when(() => shots()[0] !== first[0]);
const after = opaque(), second = shots();
const turned = { "scene.camera.eye": { x: 0, y: 2, z: 0 } };
await Plotly.relayout(document.querySelector(".scene"), turned);
await when(() => shots()[0] !== second[0]);
tell({ before, after, shots: shots().map((shot) => shot.length),
  fetched: performance.getEntriesByType("resource").map((e) => e.name),
  drawn: all(".stage", (s) => s.dataset.drawn),
  faded: all(".ladder .faded", (row) => row.dataset.barrier),
  width: [document.documentElement.scrollWidth, document.documentElement.clientWidth] });
"""

#: Scroll to the second crystal, and back to the first. Without a window there are no frames, so
#: that no observer is ever told: the test tells it.
SCROLL = """
const states = () => all(".stage", (s) => [s.dataset.drawn !== undefined,
  s.classList.contains("resting"), getComputedStyle(s.querySelector(".paper")).display]);
const seen = [];
await when(() => shots()[0]);
seen.push(states());
for (const to of [1, 0]) {
  scrolled(all(".stage", (target, i) => ({ target, isIntersecting: i === to })));
  await when(() => states()[to][0] && states()[1 - to][1]);
  seen.push(states());
}
tell({ seen });
"""


def told(page: Path, steps: str, *words: str) -> dict[str, Any]:
    """What is found on a page after some steps."""
    text = page.read_text(encoding="utf-8")
    watched = page.with_name("watched.html")
    script = WATCH.replace("STEPS", steps)
    watched.write_text(text.replace("<head>", f"<head>{script}", 1), encoding="utf-8")
    shown = browse(watched, "--dump-dom", *words)
    match = re.search(r'id="found">(.*?)</script>', shown, re.S)
    assert match, shown[-2000:]
    found: dict[str, Any] = json.loads(match[1])
    return found


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A page of two crystals."""
    crystals = [
        CrystalFile(Path("a.cif"), predicted(cell_of("LiFePO4"), [0.2, 1.1], outside=True)),
        CrystalFile(Path("b.cif"), predicted(cell_of("NaCl"), [0.4], max_length=6)),
    ]
    write_page(tmp_path / "page.html", crystals, load_ensemble())
    return tmp_path / "page.html"


@needs_browser
def test_a_browser_draws_it(two: Path) -> None:
    picture = two.with_name("picture.png")
    found = told(two, PICK_AND_TURN, f"--screenshot={picture}", "--window-size=500,1200")
    assert found["wrong"] == []
    assert [name for name in found["fetched"] if not name.startswith(("data:", "blob:"))] == []
    # Edges, names, elements, sites outside, hops, colour bar.
    assert found["drawn"] == [str(2 + 4 + 1 + 2 + 1), str(2 + 2 + 1 + 2 + 1)]
    assert min(found["shots"]) > 20_000
    # 1D of the olivine: the hop along c is faded in the picture and on the scale.
    hops = slice(7, 9)
    assert found["before"][0][hops] == [1, 1]
    assert found["after"][0][hops][0] == 1 and found["after"][0][hops][1] < 0.3
    assert found["after"][1] == found["before"][1]
    assert found["faded"] == ["1.1"]
    assert found["width"][0] <= found["width"][1]

    # The violet of lithium and the dark blue of the easy hop, in the canvas itself.
    pixels = matplotlib.image.imread(picture)[200:, :, :3]
    for color in ("cc80ff", barrier_color(0.2, 0.65).lstrip("#")):
        near = np.array([int(part, 16) for part in re.findall("..", color)]) / 255
        assert (np.abs(pixels - near).max(axis=2) < 0.2).sum() > 200
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 500


@needs_browser
@pytest.mark.slow
def test_few_pictures_are_alive_at_a_time(two: Path) -> None:
    text = two.read_text(encoding="utf-8")
    assert "const MOST = 8;" in text and text.count("new IntersectionObserver") == 1
    text = text.replace("const MOST = 8;", "const MOST = 1;")
    text = text.replace("new IntersectionObserver", "new Observer")
    observer = "class Observer { constructor(f) { window.scrolled = f; } observe() {} }"
    text = text.replace("<head>", f"<head><script>{observer}</script>", 1)
    two.write_text(text, encoding="utf-8")
    found = told(two, SCROLL, "--window-size=500,900")
    alive, still, not_yet = [True, False, "none"], [False, True, "block"], [False, False, "none"]
    assert found == {"wrong": [], "seen": [[alive, not_yet], [still, alive], [alive, still]]}


@needs_browser
@pytest.mark.slow
def test_pictures_are_printed(two: Path) -> None:
    paper = two.with_suffix(".pdf")
    browse(two, f"--print-to-pdf={paper}")
    content = paper.read_bytes()
    # What WebGL shows does not print: there is an image of each, a thousand pixels wide or more.
    widths = [
        int(width)
        for image in re.findall(rb"<<[^>]*?/Subtype\s*/Image.*?>>", content, re.S)
        for width in re.findall(rb"/Width (\d+)", image)
    ]
    assert sum(width > 1000 for width in widths) >= 2
