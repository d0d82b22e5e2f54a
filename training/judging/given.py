"""What a report was made of: runs, their protocols, data and versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.read import BandSet

from .inputs import Entry
from .page import NONE, Block, Cell, Grid, Text

#: Settings told apart from the others.
_APART = ("summary", "model", "seed")

#: Characters of a fingerprint that tell two files apart.
_DIGITS = 12


def given_blocks(entries: Sequence[Entry], data: BandSet | None) -> list[Block]:
    """Tables of all that was given, and whether it is of the same data."""
    cells: list[list[Cell | str]] = []
    prints: dict[str, list[str]] = {}
    for entry in entries:
        config, p = entry.config, entry.predictions
        source = _part(config, "data")
        fingerprint = str(source.get("fingerprint") or "")
        if fingerprint:
            prints.setdefault(fingerprint, []).append(entry.label)
        records = source.get("records")
        fraction = "" if p.train_fraction == 1 else f", {p.train_fraction:g} of the training part"
        seeds = ", ".join(map(str, sorted(set(p.seed))))
        cells.append([
            Cell(entry.label, p.path.name),
            Cell(p.protocol or "as given", f"seed {seeds}{fraction}" if config else fraction),
            _what(entry),
            Cell(fingerprint[:_DIGITS] or NONE, f"{records} records" if records else ""),
            _versions(config),
        ])  # fmt: skip
    blocks: list[Block] = []
    if data is not None:
        prints.setdefault(data.fingerprint, []).append("the data of this report")
        labelled = sum(band.target is not None for band in data.bands)
        blocks.append(
            Text(
                f"Data: {data.path.name}, fingerprint {data.fingerprint[:_DIGITS]}, "
                f"{len(data.bands)} records, {labelled} of them with a barrier."
            )
        )
    else:
        blocks.append(Text("Data: not given."))
    if len(prints) > 1:
        told = "; ".join(f"{digest[:_DIGITS]} of {', '.join(of)}" for digest, of in prints.items())
        blocks.append(Text(f"Not all of this comes from one data file: {told}."))
    header = ["model", "protocol", "recipe and settings", "data", "versions"]
    blocks.append(Grid(header, cells, names=5))
    return blocks


def _what(entry: Entry) -> Cell:
    config = entry.config
    if not config:
        return Cell("a table of predictions")
    settings = _part(config, "settings")
    names = [config.get(key) for key in ("recipe", "baseline", "method")]
    words = [str(word) for word in (*names, settings.get("model")) if word]
    rest = [f"{k}={_short(v)}" for k, v in settings.items() if k not in _APART]
    if config.get("init"):
        rest.append(f"init={str(config['init'])[:_DIGITS]}")
    return Cell(", ".join(words) or NONE, ", ".join(rest))


def _versions(config: Mapping[str, Any]) -> str:
    found = _part(config, "versions")
    return ", ".join(f"{k} {v}" for k, v in found.items() if v is not None) or NONE


def _part(config: Mapping[str, Any], key: str) -> dict[str, Any]:
    part = config.get(key)
    return part if isinstance(part, dict) else {}


def _short(value: object) -> str:
    return (
        {True: "yes", False: "no", None: "none"}.get(value, str(value))
        if isinstance(value, bool | None)
        else str(value)
    )
