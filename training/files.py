"""Text, JSON, YAML, tables and folders of a run, each file written whole or not at all."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from linegraph.atomic_files import is_unfinished, reason, replacing
from linegraph.errors import InputError

from .held import held

#: JSON from elsewhere may hold halves of characters, and JSON reads such an escape as one.
_ESCAPED = "backslashreplace"


class _PlainDumper(yaml.SafeDumper):
    """Repeats a shared list instead of pointing at it (``*id001``): people read these files."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write text as UTF-8; what UTF-8 lacks (halves of characters) as an escape.

    Raises:
        InputError: the file cannot be written.
    """
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", errors=_ESCAPED, newline="\n")


def write_json(path: str | os.PathLike[str], obj: object) -> None:
    """Write JSON, keys in the order given, ended by a newline.

    Raises:
        InputError: the file cannot be written, or a number is NaN or infinite, which JSON lacks.
    """
    try:
        text = json.dumps(obj, indent=2, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise InputError(f"cannot be written as JSON ({error})", file=path) from error
    write_text(path, text + "\n")


def write_yaml(path: str | os.PathLike[str], obj: object) -> None:
    """Write YAML, keys in the order given.

    Args:
        path: the file to write.
        obj: dictionaries, lists, strings, numbers, booleans, None and nothing else.

    Raises:
        InputError: the file cannot be written.
    """
    write_text(path, yaml.dump(obj, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True))


def write_csv(
    path: str | os.PathLike[str], header: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """Write a table; None becomes an empty cell, floats keep every digit.

    Args:
        path: the file to write.
        header: one name per column.
        rows: one value per column each.

    Raises:
        InputError: the file cannot be written, or a row is not as long as the header.
    """
    with (
        replacing(path) as partial,
        partial.open("w", encoding="utf-8", errors=_ESCAPED, newline="") as stream,
    ):
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        for number, row in enumerate(rows):
            if len(row) != len(header):
                raise InputError(
                    f"{len(row)} values for {len(header)} columns", file=path, record=number
                )
            writer.writerow(row)


def new_run_folder(path: str | os.PathLike[str]) -> Path:
    """Create the folder of a run; one that is there but empty will do.

    Whoever writes nothing into it at once holds it until then (:func:`training.held.held`).

    Raises:
        InputError: the folder holds something or is held by another run, is a file, or cannot be
            created.
    """
    folder = make_folder(path)
    with held(folder):
        if not holds_nothing(folder):
            raise InputError(
                "run folder already exists; choose another --out or use --resume", file=path
            )
    return folder


def make_folder(path: str | os.PathLike[str]) -> Path:
    """Create a folder and those above it, where they are not there yet.

    Raises:
        InputError: it cannot be created.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be created ({reason(error)})", file=path) from error
    return folder


def holds_nothing(path: str | os.PathLike[str]) -> bool:
    """Whether a folder is not there, or is empty but for files that were never finished.

    Raises:
        InputError: it cannot be looked into, or is a file.
    """
    try:
        return all(is_unfinished(name) for name in os.listdir(path))
    except FileNotFoundError:
        return True
    except OSError as error:
        raise InputError(f"cannot be read ({reason(error)})", file=path) from error


def check_outputs(*paths: Path | None, inputs: Iterable[Path | None] = ()) -> None:
    """Refuse files that could not or should not be written, before there is anything to write.

    Args:
        paths: what is to be written.
        inputs: what is read, and must not be written over.

    Raises:
        InputError: the folder is not there or nothing can be created in it, there is something else
            than a file under the name, it is an input, or two are one.
    """
    given = {os.path.realpath(path) for path in inputs if path is not None}
    seen: set[str] = set()
    for path in paths:
        if path is None:
            continue
        target = os.path.realpath(path)
        folder = os.path.dirname(target)
        if not os.path.isdir(folder):
            problem = "no such folder"
        elif os.path.isdir(target):
            problem = "is a folder"
        elif os.path.exists(target) and not os.path.isfile(target):
            problem = "is a pipe or a device"
        elif not os.access(folder, os.W_OK | os.X_OK):
            problem = f"nothing can be created in {folder}"
        elif target in given:
            problem = "it is an input of this command"
        elif target in seen:
            problem = "is named twice"
        else:
            seen.add(target)
            continue
        raise InputError(f"cannot be written ({problem})", file=path)
