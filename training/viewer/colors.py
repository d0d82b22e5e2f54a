"""Colours: of elements as chemists know them, of barriers from easy to hard."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import yaml

#: The part of the colour map in use: its last colours are too pale for a white page.
_PALEST = 0.88

#: Of what no table has a colour for.
_GREY = "#a0a0a0"


def element_color(symbol: str) -> str:
    """The colour of an element in Jmol, as pymatgen has it, ``#rrggbb``."""
    color = _jmol().get(symbol)
    return _GREY if color is None else "#{:02x}{:02x}{:02x}".format(*color)


def top_of_scale(threshold: float) -> float:
    """eV; barriers from here on have one colour: twice that of a good conductor.

    The same for all crystals of a page, so that colours can be compared.
    """
    return 2 * threshold


def barrier_color(barrier: float, threshold: float) -> str:
    """The colour of a barrier (eV), ``#rrggbb``: the darker, the easier."""
    return scale_color(barrier / top_of_scale(threshold))


def scale_color(share: float) -> str:
    """The colour at a share, 0 to 1, of the scale; beyond it, at its end."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return to_hex(colormaps["viridis"](_PALEST * min(max(share, 0.0), 1.0)))


@cache
def _jmol() -> dict[str, list[int]]:
    text = files("pymatgen.vis").joinpath("ElementColorSchemes.yaml").read_text(encoding="utf-8")
    # The symbol of yttrium and that of nitrogen are words for true and false in YAML 1.1.
    table: dict[str, list[int]] = yaml.load(text, Loader=yaml.BaseLoader)["Jmol"]
    return {symbol: [int(part) for part in color] for symbol, color in table.items()}
