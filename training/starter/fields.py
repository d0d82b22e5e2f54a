"""Reading a mapping field by field, so that every mistake in it gets a message with a place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from linegraph.errors import InputError

#: Three numbers: fractional coordinates, or one row of a cell in a fractional basis.
Point = tuple[float, float, float]


class Fields:
    """One mapping of a file, taken field by field.

    Args:
        value: the mapping, as YAML gave it.
        file: the file it was read from.
        record: name or position of the record it belongs to.
        path: dotted path of the mapping within the record, empty for the record itself.

    Every method raises :class:`InputError` naming file, record and field.
    """

    def __init__(self, value: object, file: Path, record: object, path: str = "") -> None:
        self.file, self.record, self.path = file, record, path
        if not isinstance(value, dict):
            raise InputError("expected a mapping", file=file, record=record, field=path or None)
        self.values: dict[Any, Any] = value
        self.seen: set[str] = set()

    def error(self, problem: str, key: str) -> InputError:
        field = f"{self.path}.{key}" if self.path else key
        return InputError(problem, file=self.file, record=self.record, field=field)

    def take(self, key: str) -> Any:
        self.seen.add(key)
        if key not in self.values:
            raise self.error("is missing", key)
        return self.values[key]

    def text(self, key: str, default: str | None = None) -> str:
        if default is not None and key not in self.values:
            return default
        value = self.take(key)
        if not isinstance(value, str) or not value.strip():
            raise self.error(f"expected a text, got {value!r}", key)
        return value.strip()

    def choice(self, key: str, allowed: Sequence[str]) -> str:
        value = self.text(key)
        if value not in allowed:
            raise self.error(f"{value!r} is none of {', '.join(allowed)}", key)
        return value

    def positive(self, key: str, default: float | None = None) -> float:
        if default is not None and key not in self.values:
            return default
        value = self.take(key)
        if not _is_number(value) or value <= 0:
            raise self.error(f"expected a positive number, got {value!r}", key)
        return float(value)

    def numbers(self, key: str, count: int) -> tuple[float, ...]:
        return self._numbers(self.take(key), key, count)

    def point(self, key: str) -> Point:
        x, y, z = self.numbers(key, 3)
        return x, y, z

    def points(self, key: str, default: tuple[Point, ...]) -> tuple[Point, ...]:
        if key not in self.values:
            return default
        found = []
        for value in self._list(key):
            x, y, z = self._numbers(value, key, 3)
            found.append((x, y, z))
        return tuple(found)

    def child(self, key: str) -> Fields:
        inner = f"{self.path}.{key}" if self.path else key
        return Fields(self.take(key), self.file, self.record, inner)

    def children(self, key: str, optional: bool = False) -> list[Fields]:
        if optional and key not in self.values:
            return []
        inner = f"{self.path}.{key}" if self.path else key
        return [
            Fields(value, self.file, self.record, f"{inner}.{position}")
            for position, value in enumerate(self._list(key))
        ]

    def done(self) -> None:
        """Complain about whatever nobody asked for: most often a misspelt optional field."""
        for key in self.values:
            if key not in self.seen:
                raise self.error("is not a known field", str(key))

    def _list(self, key: str) -> list[Any]:
        value = self.take(key)
        if not isinstance(value, list) or not value:
            raise self.error("expected a list with something in it", key)
        return value

    def _numbers(self, value: object, key: str, count: int) -> tuple[float, ...]:
        if not isinstance(value, list) or len(value) != count or not all(map(_is_number, value)):
            raise self.error(f"expected {count} numbers, got {value!r}", key)
        return tuple(float(number) for number in value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
