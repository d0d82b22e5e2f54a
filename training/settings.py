"""Checks of settings: every key known, every value of its type and in its range."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from types import UnionType
from typing import Any, Union, get_args, get_origin

from linegraph.errors import InputError

from .yamlfile import parse_yaml

_RANGES: dict[str, tuple[float, float]] = {
    "hidden": (1, 4096),
    "alignn_layers": (0, 64),
    "conv_layers": (0, 64),
    "embedding": (1, 4096),
    "head": (1, 4096),
    "trees": (1, 10_000),
    "leaves": (2, 16_384),
    "supports": (1, 100_000),
    "copies": (0, 100),
    "tree_share": (0, 1),
    "machine_share": (0, 1),
    "max_neighbors": (1, 200),
    "shell_tol": (0, 1),
    "lattice_decimals": (0, 16),
    "val": (0, 0.9),
    "test": (0, 0.9),
    "epochs": (1, 1_000_000),
    "batch_size": (1, 1_000_000),
    "lr": (1e-12, 10),
    "lr_parts": (0, 1000),
    "unfreeze_at": (1, 1_000_000),
    "weight_decay": (0, 10),
    "warmup": (0.001, 0.999),
    "clip": (1e-6, 1e6),
    "jitter": (0, 1),
    "memory_gib": (0.05, 10_000),
    "seed": (0, 2**31),
}


def parse_settings(settings: Iterable[str], option: str = "--set") -> dict[str, Any]:
    """``key=value`` words of an option of the command line, values read as YAML.

    Raises:
        InputError: a word without ``=`` or an unreadable value.
    """
    values: dict[str, Any] = {}
    for word in settings:
        key, equals, text = word.partition("=")
        if not equals or not key.strip():
            raise InputError(f"{option} takes key=value, got {word!r}")
        try:
            values[key.strip()] = parse_yaml(text)
        except ValueError:
            raise InputError(f"unreadable value {text!r}", field=key) from None
    return values


def checked(
    values: Mapping[str, Any],
    hints: Mapping[str, Any],
    choices: Mapping[str, tuple[str, ...]],
    file: object = None,
) -> dict[str, Any]:
    """The values in their own types.

    Args:
        values: what was given.
        hints: type of every known key.
        choices: of some keys the words allowed, one or (for a list or mapping) each.
        file: where the values come from, for the message.

    Raises:
        InputError: unknown key (the message names the nearest known one), or a value of the
            wrong type or out of range.
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        if key not in hints:
            near = get_close_matches(str(key).lower(), hints, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(hints)}"
            raise InputError(f"unknown recipe key {key!r}{hint}", file=file)
        found[key] = _value(key, value, hints[key], choices.get(key), file)
    return found


def _value(key: str, value: Any, hint: Any, words: tuple[str, ...] | None, file: object) -> Any:
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if value is None and type(None) in kinds:
        return None
    kind = next(k for k in kinds if k is not type(None))
    if get_origin(kind) is tuple:
        # One word is a list of one, so that `--set drop=dc` works.
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list | tuple):
            raise InputError(f"expected a list of words, got {value!r}", file=file, field=key)
        return tuple(_value(key, item, str, words, file) for item in items)
    if get_origin(kind) is dict:
        if not isinstance(value, dict):
            raise InputError(f"expected 'name: number' pairs, got {value!r}", file=file, field=key)
        return {
            _value(key, name, str, words, file): _value(key, number, float, None, file)
            for name, number in value.items()
        }
    if isinstance(value, str) and kind in (int, float):
        # YAML 1.1 reads "1e-3" as text.
        with suppress(ValueError):
            value = float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        with suppress(OverflowError):
            value = float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise InputError(f"expected {_article(kind)}, got {value!r}", file=file, field=key)
    low, high = _RANGES.get(key, (None, None))
    if low is not None and not isinstance(value, str) and not low <= value <= high:
        raise InputError(f"expected {low:g} to {high:g}, got {value!r}", file=file, field=key)
    if words is not None and value not in words:
        raise InputError(f"{value!r} is none of {', '.join(words)}", file=file, field=key)
    return value


def _article(kind: type) -> str:
    return {int: "a whole number", float: "a number", bool: "true or false", str: "text"}[kind]
