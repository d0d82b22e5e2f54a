"""Damage to documents that know what they mean: JSON, and YAML of the same values."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any

import yaml


class Raw(str):
    """Text that stands in a document as it is, without quotes."""


#: What values are replaced by, as JSON text.
VALUES: tuple[Any, ...] = (
    Raw("NaN"), Raw("-Infinity"), Raw("1e308"), Raw("1e999"), Raw("-1e300"), Raw("1" * 4000),
    Raw("9" * 5000), Raw("123456789012345678901234567890"), Raw("1e-300"), Raw("-0"),
    None, True, False, "", "x" * 100_000, "\u0000", "\ud800", "../../../etc/passwd", "1e5", "nan",
    [], {}, [[]], [[[]]], [None], {"": None}, 10**6, -1, 0, 0.5,
    Raw("[" * 3000 + "]" * 3000), Raw('{"a":' * 3000 + "1" + "}" * 3000), Raw("[" * 200_000),
    Raw("[" + "0," * 200_000 + "0]"), Raw("[" + "[0,0,0]," * 30_000 + "[0,0,0]]"),
    {"@module": "this", "@class": "d", "@callable": "d"},
    {"__ndarray__": [[10**12], "float64", []]},
)  # fmt: skip


def spoiled(document: Any, random: Random) -> bytes:
    """A JSON document with one to three values or keys that are not what they should be."""
    document = deepcopy(document)
    raw: dict[str, str] = {}
    for _ in range(random.choice((1, 1, 2, 3))):
        random.choice(_KINDS)(document, random, raw)
    text = json.dumps(document)
    for mark, value in raw.items():
        text = text.replace(json.dumps(mark), value)
    data = text.encode("utf-8", "surrogatepass")
    if not random.randrange(12):
        data = random.choice((b"\xef\xbb\xbf" + data, text.encode("utf-16"), b"\xff" + data))
    return data


def spoiled_yaml(document: Any, random: Random) -> bytes:
    """The same damage, written as YAML (of which JSON is nearly a part), or tags put into it."""
    if random.randrange(3):
        return spoiled(document, random)
    lines = yaml.safe_dump(document, sort_keys=False).splitlines()
    line = random.randrange(len(lines))
    key, _, _ = lines[line].partition(":")
    lines[line] = f"{key}: {random.choice(YAML_VALUES)}"
    return "\n".join(lines).encode("utf-8", "surrogatepass")


#: YAML that a loader may stumble over.
YAML_VALUES = (
    "!!python/object/apply:os.system ['touch evil']", "!!python/name:os.system", "!!int x",
    "!!int ''", "!!bool maybe", "!!float x", "!!timestamp x", "!!binary '\xe9'", "!!set [1]",
    "!!pairs 5", "!!omap {a: 1}", "2001-99-99", "9" * 5000, "0x" + "f" * 5000, "1:2:3:4:5",
    "*nowhere", "&a [*a, *a]", "&a {b: *a}", "{? {a: b} : c}", "{? [a] : b}", "[" * 5000,
    "{a: " * 3000, "{<<: {a: 1}}", "{<<: 5}", ".nan", "-.inf", "~", "\t- x", "%TAG", "'", '"\\x"',
    "|\n" + "  x\n" * 1000, "\x00", "\x1b[31m", "yes", "1e-3", "!unknown {a: 1}", "? ", "- - - -",
    "../../../../etc/passwd.yaml", "recipe.yaml", "." * 5000 + ".yaml", '"a\\0.yaml"',
)  # fmt: skip


def _places(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Every container and key or index in a document."""
    keys: Any = ()
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        # Of many atoms, a few stand for all.
        keys = range(min(len(value), 8))
    for key in keys:
        found.append((value, key))
        _places(value[key], found)
    return found


def _replace(document: Any, random: Random, raw: dict[str, str]) -> None:
    if places := _places(document, []):
        holder, key = random.choice(places)
        value = random.choice(VALUES)
        if isinstance(value, Raw):
            mark = f"raw-{len(raw)}-{random.randrange(10**9)}"
            raw[mark] = str(value)
            value = mark
        holder[key] = value


def _drop(document: Any, random: Random, raw: dict[str, str]) -> None:
    if places := _places(document, []):
        holder, key = random.choice(places)
        del holder[key]


def _rename(document: Any, random: Random, raw: dict[str, str]) -> None:
    places = [(holder, key) for holder, key in _places(document, []) if isinstance(holder, dict)]
    if places:
        holder, key = random.choice(places)
        holder[random.choice(("", "x\n" * 50, "@module", "__ndarray__", key.upper()))] = holder.pop(
            key
        )


def _repeat(document: Any, random: Random, raw: dict[str, str]) -> None:
    places = [(h, k) for h, k in _places(document, []) if isinstance(h[k], list) and h[k]]
    if places:
        holder, key = random.choice(places)
        holder[key] = (holder[key] * 3000)[: random.choice((2, 500, 3000)) * len(holder[key])]
        if len(json.dumps(holder[key])) > 3_000_000:
            holder[key] = holder[key][:100]


def _wrap(document: Any, random: Random, raw: dict[str, str]) -> None:
    if places := _places(document, []):
        holder, key = random.choice(places)
        holder[key] = random.choice(([holder[key]], {"a": holder[key]}, [holder[key]] * 2))


def _double_key(document: Any, random: Random, raw: dict[str, str]) -> None:
    """A key twice, which a dictionary cannot hold: the second one is in the text only."""
    places = [(h, k) for h, k in _places(document, []) if isinstance(h, dict)]
    if places:
        holder, key = random.choice(places)
        mark = f"raw-{len(raw)}-{random.randrange(10**9)}"
        raw[mark] = f"null, {json.dumps(key)}: {json.dumps(holder[key])}"
        holder[key] = mark


_KINDS: tuple[Callable[[Any, Random, dict[str, str]], None], ...] = (
    _replace, _replace, _replace, _drop, _rename, _repeat, _wrap, _double_key,
)  # fmt: skip
