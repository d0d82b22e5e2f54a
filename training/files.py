"""Files that are either written whole or not at all."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml

from linegraph.errors import InputError


class _PlainDumper(yaml.SafeDumper):
    """Repeats a shared list instead of pointing at it (``*id001``): people read these files."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file so that nobody ever sees half of it.

    Yields the path of a file that does not exist yet, in the folder of ``path`` and with its
    suffix. What the block writes there takes the place of ``path`` when the block ends; when it
    raises, it is removed and ``path`` stays as it was. A symbolic link is followed, not replaced.

    Args:
        path: the file to write; its folder must exist.

    Raises:
        InputError: the file cannot be written (disk full, no permission, no such folder, ...).
    """
    # A name of our own rather than tempfile's: its files are readable by the owner only, and the
    # replaced file would inherit that.
    target = Path(os.path.realpath(path))
    partial = target.with_name(f".partial-{uuid4().hex}{target.suffix}")
    try:
        yield partial
        _flush_to_disk(partial)
        os.replace(partial, target)
    except OSError as error:
        raise InputError(f"cannot be written ({_reason(error)})", file=path) from error
    finally:
        with suppress(OSError):
            partial.unlink()


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write text as UTF-8.

    Raises:
        InputError: the file cannot be written.
    """
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


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
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
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

    Raises:
        InputError: the folder holds something, is a file, or cannot be created.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        occupied = any(folder.iterdir())
    except OSError as error:
        raise InputError(f"cannot be created ({_reason(error)})", file=path) from error
    if occupied:
        raise InputError(
            "run folder already exists; choose another --out or use --resume", file=path
        )
    return folder


def _flush_to_disk(path: Path) -> None:
    """After a power cut a renamed file may be there without its content, unless it was synced."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
