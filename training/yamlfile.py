"""YAML of strangers: plain values, and nothing that grows or runs."""

from __future__ import annotations

from os import PathLike
from typing import Any

import yaml

from linegraph.errors import shortened
from linegraph.safe_reading import read_text

#: Nothing that is written here is nested deeper.
DEEPEST = 50

#: Characters: settings take a thousand, and a list of skipped records may take a million.
LARGEST = 16 << 20

# The loader in C reads the same, fifty times as fast.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: str | PathLike[str]) -> Any:
    """What a YAML file holds; see :func:`parse_yaml`.

    Raises:
        OSError: it cannot be read, or is no regular file.
        ValueError: it is no UTF-8, or as :func:`parse_yaml`.
    """
    return parse_yaml(read_text(path))


def parse_yaml(text: str) -> Any:
    """What YAML says, by the safe loader: text, numbers, lists and mappings.

    An alias repeats what it names, and a few lines of them a thousand million times once something
    prints the values or merges them. Nothing needs any here, so there are none.

    Raises:
        ValueError: no YAML, tags of anything else, aliases, nested too deeply, or too long; the
            message is one line.
    """
    if len(text) > LARGEST:
        raise ValueError(f"{len(text)} characters, which is too long")
    depth = 0
    try:
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, yaml.AliasEvent):
                raise ValueError(f"aliases (*{shortened(str(event.anchor), 50)}) are not read here")
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise ValueError("nested too deeply")
        return yaml.load(text, Loader=_Loader)
    # What the loader makes of tags and of numbers, it makes without looking.
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(_reason(error)) from error


def _reason(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem:
        mark = error.problem_mark or error.context_mark
        return error.problem if mark is None else f"{error.problem}, line {mark.line + 1}"
    lines = str(error).splitlines()
    return shortened(lines[0], 200) if lines else type(error).__name__
