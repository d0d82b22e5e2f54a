"""One HTML page on what was predicted, that needs nothing but itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

from linegraph.ensemble import Ensemble
from linegraph.errors import InputError
from linegraph.predicted import Prediction
from linegraph.prediction import LEVEL, THRESHOLD

from ..files import write_text
from ..judging.page import Grid
from ..predict_files import BandFile, CrystalFile, barriers_in
from ..predict_output import cautions, far_away
from .ladder import ROW, WIDTH, Ladder, ladder
from .network import Network, network_of
from .scene import check_plotly, figure_of
from .tables import band_grid, failure_grid, hop_grid, lattice_grid, level_grid, place_grid
from .wording import choices

#: Characters of all pictures in 3D together; without those beyond, a page stays below 15 MB.
MAX_SCENES = 9_000_000

#: Where further hops are that are unlike the training records.
_REST = "the tables have all"


@dataclass(frozen=True)
class Option:
    """A part of the network to pick out.

    Attributes:
        text: what is said of it.
        limit: hops up to this barrier are in it, eV; None for all of them.
        button: its number in the figure; None where there is nothing to pick out.
    """

    text: str
    limit: float | None
    button: int | None


@dataclass(frozen=True)
class Part:
    """What the page says of one crystal.

    Attributes:
        key: its anchor.
        title: compound and ion.
        file: that it was read from.
        found: kinds of empty sites that were found; None if none were looked for.
        words: where the ion gets through.
        cautions: what to take with care.
        scene: the picture, as JSON that can stand in a page; empty if it was left out.
        options: what can be picked out in it.
        left_out: what is not in the picture, in words.
        ladder: barriers on one scale.
        levels: the numbers of percolation,
        hops: of the hops, and
        more: further ones of them.
    """

    key: str
    title: str
    file: str
    found: Sequence[str] | None
    words: Sequence[str]
    cautions: Sequence[str]
    scene: str
    options: Sequence[Option]
    left_out: Sequence[str]
    ladder: Ladder
    levels: Grid
    hops: Grid
    more: Sequence[Grid]


def write_page(
    path: str | PathLike[str],
    found: Sequence[CrystalFile | BandFile | InputError],
    ensemble: Ensemble,
    level: float = LEVEL,
    threshold: float = THRESHOLD,
) -> None:
    """Write the page: styles, scripts and pictures are inside it, and all names are escaped.

    Args:
        path: of the ``.html`` file.
        found: of every file, as :func:`training.predict_files.predict_files` gives it.
        ensemble: what predicted.
        level: of the intervals.
        threshold: eV.

    Raises:
        InputError: plotly is not installed; the file cannot be written.
    """
    check_plotly()
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=ChoiceLoader([PackageLoader("training", part) for part in ("viewer", "judging")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    crystals = list(_parts([one for one in found if isinstance(one, CrystalFile)]))
    bands = [one for one in found if isinstance(one, BandFile)]
    failures = [one for one in found if isinstance(one, InputError)]
    pairs = [pair for file in bands for pair in zip(file.bands, file.barriers, strict=True)]
    page = environment.get_template("page.html.j2").render(
        ensemble=ensemble,
        level=f"{100 * level:.3g}",
        threshold=f"{threshold:g}",
        crystals=crystals,
        bands=band_grid(bands, level, threshold, ensemble.calibrated) if pairs else None,
        band_cautions=far_away([(band.name, barrier) for band, barrier in pairs], _REST),
        single=[str(file.path) for file in bands if file.single],
        failures=failure_grid(failures) if failures else None,
        beside=any(b.potential is not None for one in found for b in barriers_in(one)),
        drawing={"width": WIDTH, "row": ROW},
        plotly=get_plotlyjs() if any(part.scene for part in crystals) else "",
    )
    write_text(path, page + "\n")


def _parts(found: Sequence[CrystalFile]) -> Iterator[Part]:
    used = 0
    for number, one in enumerate(found, 1):
        prediction = one.prediction
        network = network_of(prediction)
        figure = json.loads(figure_of(prediction, network).to_json())
        options = _options(prediction, figure)
        # The page has buttons of its own, which people can reach by keyboard and print.
        buttons = figure["layout"].pop("updatemenus")[0]["buttons"]
        figure["layout"]["margin"] = {"l": 0, "r": 0, "t": 40, "b": 56}
        figure["buttons"] = [button["args"] for button in buttons]
        del figure["layout"]["height"]
        scene = _in_page(figure)
        left_out = _left_out(prediction, network)
        used += len(scene)
        if used > MAX_SCENES:
            scene = ""
            left_out = ["The picture is left out: the page would be too large. Predict fewer files "
                        "at a time to see it."]  # fmt: skip
        yield Part(
            key=f"crystal-{number}",
            title=f"{prediction.formula}, hops of {prediction.ion}",
            file=str(one.path),
            found=None if prediction.empty_sites is None else [*map(str, prediction.empty_sites)],
            words=prediction.in_words(),
            cautions=cautions(prediction, _REST),
            scene=scene,
            options=options,
            left_out=left_out,
            ladder=ladder(prediction),
            levels=level_grid(prediction),
            hops=hop_grid(prediction),
            more=[place_grid(prediction), lattice_grid(prediction)],
        )


def _options(prediction: Prediction, figure: dict[str, Any]) -> list[Option]:
    options = []
    button = 0
    for choice in choices(prediction):
        text = f"{choice.text}, {choice.where}" if choice.where else choice.text
        if choice.barrier is None:
            options.append(Option(text, None, None))
            continue
        finite = choice.barrier if choice.where else None
        options.append(Option(text, finite, button))
        button += 1
    return options


def _left_out(prediction: Prediction, network: Network) -> list[str]:
    lines = []
    hops = len(prediction.hops) - len(network.hops)
    if hops:
        lines.append(f"{hops} hops of the highest barriers are not drawn: too many lines.")
    if network.atoms_left_out:
        lines.append(f"{network.atoms_left_out} atoms of the host are not drawn: too many.")
    return lines


def _in_page(figure: dict[str, Any]) -> str:
    """JSON that may stand in a script element, whatever is in it."""
    from markupsafe import Markup

    text = json.dumps(figure, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
