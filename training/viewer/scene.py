"""A crystal and its hops in 3D."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linegraph.elements import SYMBOLS
from linegraph.errors import InputError
from linegraph.predicted import Prediction

from .camera import view
from .colors import barrier_color, element_color, scale_color, top_of_scale
from .network import Network, network_of
from .spheres import detail_for, spheres
from .wording import choices, hover, up_to

#: Å, of spheres: of what hops, of sites without an ion, and of other atoms by their own radius.
ION_RADIUS, SITE_RADIUS, _OF_ATOMIC = 0.45, 0.3, 0.42

#: Å beyond the end of an edge is its name.
_LABEL_AT = 0.9

#: Width of a line in pixels and its opacity, emphasised and faded.
_STRONG, _FADED = (7, 1.0), (3, 0.18)

_SOFT = {"ambient": 0.62, "diffuse": 0.6, "specular": 0.12, "roughness": 0.6, "fresnel": 0.1}

_FONT = '"Segoe UI", "Helvetica Neue", Arial, "DejaVu Sans", sans-serif'

_INK, _EDGE, _NO_ION, _BEYOND = "#1c1e21", "#6d747c", "#ffffff", "#d9d3e6"


def check_plotly() -> None:
    """Make sure that pictures in 3D can be made.

    Raises:
        InputError: plotly is not installed.
    """
    try:
        import plotly  # noqa: F401
    except ImportError:
        raise InputError("pictures in 3D need plotly: pip install 'linegraph[html]'") from None


def figure(prediction: Prediction) -> Any:
    """A crystal, and all its hops coloured by barrier.

    Args:
        prediction: what :func:`linegraph.predict` found.

    Returns:
        A ``plotly.graph_objects.Figure``. Buttons pick out the hops up to the barrier at which the
        ion gets through in one, two and three dimensions. Dashed lines pass an atom too near.

    Raises:
        InputError: plotly is not installed; no consistent symmetry.
    """
    return figure_of(prediction, network_of(prediction))


def figure_of(prediction: Prediction, network: Network) -> Any:
    """The same of a structure that is laid out already.

    Raises:
        InputError: plotly is not installed.
    """
    check_plotly()
    from plotly import graph_objects as go

    fixed = [_cell_edges(network), _axis_names(prediction), *_atoms(prediction, network)]
    lines = _hops(prediction, network)
    shown = (network.edges, network.places, _axis_ends(prediction), *network.lines)
    points = np.concatenate([places.reshape(-1, 3) for places in shown])
    figure = go.Figure([*fixed, *lines, _color_bar(prediction)])
    numbers = list(range(len(fixed), len(fixed) + len(lines)))
    figure.update_layout(
        scene={
            **view(prediction, points),
            "dragmode": "orbit",
        },
        updatemenus=[_buttons(prediction, network, numbers)],
        font={"family": _FONT, "size": 13, "color": _INK},
        legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "itemsizing": "constant"},
        margin={"l": 0, "r": 0, "t": 84, "b": 56},
        paper_bgcolor="#fff",
        modebar={"orientation": "v", "bgcolor": "rgba(255,255,255,0)"},
        hoverlabel={"bgcolor": "#fff", "font": {"size": 13, "color": _INK}, "align": "left"},
        height=560,
        template="none",
    )
    return figure


def _cell_edges(network: Network) -> dict[str, Any]:
    line = {"color": _EDGE, "width": 2}
    return {**_lines(network.edges), "line": line, "hoverinfo": "skip", "showlegend": False}


def _axis_names(prediction: Prediction) -> dict[str, Any]:
    ends = _axis_ends(prediction)
    return {
        "type": "scatter3d", "mode": "text", "text": ["<i>a</i>", "<i>b</i>", "<i>c</i>"],
        **_xyz(ends), "textfont": {"size": 15, "color": _INK}, "hoverinfo": "skip",
        "showlegend": False,
    }  # fmt: skip


def _axis_ends(prediction: Prediction) -> NDArray[np.float64]:
    """A little beyond the ends of the three edges that start at the origin."""
    lattice = prediction.cell.lattice
    ends: NDArray[np.float64] = lattice * (
        1 + _LABEL_AT / np.linalg.norm(lattice, axis=1, keepdims=True)
    )
    return ends


def _atoms(prediction: Prediction, network: Network) -> list[dict[str, Any]]:
    """A mesh for each element, the ion that hops first; then sites without an ion."""
    cell = prediction.cell
    further = (
        (network.empty, "empty site", _NO_ION, SITE_RADIUS),
        (network.outside, f"{prediction.ion} site in the next cell", _BEYOND, 0.8 * SITE_RADIUS),
    )
    total = len(network.atoms) + sum(len(places) for places, *_ in further)
    detail = detail_for(total)
    symbols = np.array(SYMBOLS)[cell.numbers[network.atoms] - 1]
    elements = sorted(set(symbols.tolist()), key=lambda s: (s != prediction.ion, s))
    traces = []
    for element in elements:
        mine = symbols == element
        radius = ION_RADIUS if element == prediction.ion else _radius(element)
        mesh = _mesh(network.places[mine], radius, element_color(element), detail)
        of = np.repeat(network.atoms[mine], detail).astype(np.int32)
        hovered = {"customdata": of, "hovertemplate": f"{element}, atom %{{customdata}}"}
        traces.append({**mesh, **hovered, "name": element})
    for places, name, color, radius in further:
        if len(places):
            mesh = _mesh(places, radius, color, detail)
            traces.append({**mesh, "hovertemplate": name, "name": name})
    for trace in traces:
        trace["hovertemplate"] += "<extra></extra>"
    return traces


def _radius(element: str) -> float:
    from pymatgen.core import Element

    one = Element(element)
    radius = one.atomic_radius or one.atomic_radius_calculated
    return _OF_ATOMIC * (float(radius) if radius else 1.5)


def _mesh(places: NDArray[np.float64], radius: float, color: str, detail: int) -> dict[str, Any]:
    mesh = spheres(places, radius, detail)
    # As few bytes as the numbers need: most of a page is these.
    kind = np.uint16 if len(mesh.corners) < 2**16 else np.int32
    return {
        "type": "mesh3d", **_xyz(mesh.corners),
        **dict(zip("ijk", mesh.faces.T.astype(kind), strict=True)),
        "color": color, "lighting": _SOFT, "flatshading": False, "showlegend": True,
    }  # fmt: skip


def _hops(prediction: Prediction, network: Network) -> list[dict[str, Any]]:
    traces = []
    for i, lines in zip(network.hops, network.lines, strict=True):
        row = prediction.hops[i]
        width, opacity = _STRONG
        line = {"width": width, "color": barrier_color(row.barrier.value, prediction.threshold)}
        if row.blocked:
            line["dash"] = "dash"
        text = {"hovertemplate": f"{hover(row)}<extra></extra>", "name": row.hop.label}
        traces.append({**_lines(lines), "line": line, "opacity": opacity, "showlegend": False}
                      | text)  # fmt: skip
    return traces


def _buttons(prediction: Prediction, network: Network, traces: Sequence[int]) -> dict[str, Any]:
    """What picks out the hops up to a barrier: plotly's ``restyle`` of their traces."""
    buttons = []
    for choice in choices(prediction):
        if choice.barrier is None:
            continue
        of_all = up_to(prediction.hops, choice)
        styles = [_STRONG if of_all[i] else _FADED for i in network.hops]
        look = {
            "line.width": [width for width, _ in styles],
            "opacity": [opacity for _, opacity in styles],
        }
        buttons.append({"label": choice.text, "method": "restyle", "args": [look, list(traces)]})
    return {
        "type": "buttons", "direction": "right", "buttons": buttons, "showactive": True,
        "x": 0, "xanchor": "left", "y": 1.09, "yanchor": "bottom", "bgcolor": "#fff",
    }  # fmt: skip


def _color_bar(prediction: Prediction) -> dict[str, Any]:
    """A trace of nothing, for its colour bar."""
    top = top_of_scale(prediction.threshold)
    ticks = [top * share for share in (0, 0.25, 0.5, 0.75, 1)]
    scale = [[share / 10, scale_color(share / 10)] for share in range(11)]
    bar = {
        "orientation": "h", "thickness": 10, "len": 0.9, "x": 0.5, "y": -0.005, "yanchor": "top",
        "title": {"text": "barrier (eV)", "side": "top", "font": {"size": 13}}, "outlinewidth": 0,
        "tickvals": ticks,
        "ticktext": [*(f"{tick:.3g}" for tick in ticks[:-1]), f"≥ {top:.3g}"],
    }  # fmt: skip
    marker = {"color": [0], "cmin": 0, "cmax": top, "colorscale": scale, "colorbar": bar,
              "showscale": True}  # fmt: skip
    return {"type": "scatter3d", "mode": "markers", **_xyz(np.full((1, 3), np.nan)),
            "marker": marker, "hoverinfo": "skip", "showlegend": False}  # fmt: skip


def _lines(lines: NDArray[np.float64]) -> dict[str, Any]:
    """Lines ``[K, M, 3]`` as one trace, with a gap after each."""
    gap = np.full((len(lines), 1, 3), np.nan)
    points = np.concatenate([lines, gap], axis=1).reshape(-1, 3)
    return {"type": "scatter3d", "mode": "lines", **_xyz(points), "connectgaps": False}


def _xyz(points: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
    return dict(zip("xyz", points.T.astype(np.float32), strict=True))
