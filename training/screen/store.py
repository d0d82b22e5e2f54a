"""Results of a screening on disk: one file for each structure."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

from linegraph.errors import InputError
from linegraph.safe_reading import read_text
from training.files import write_json

#: Folder of the files of single structures, in the run folder.
STRUCTURES = "structures"

#: Characters of a name that are kept in that of its result; file systems end at 255 bytes.
_LONGEST = 150


@dataclass(frozen=True)
class Failure:
    """Why a structure has no barriers.

    Attributes:
        file: its name in the folder that is screened.
        problem: what is wrong, in words.
        field: the field it was found in, as far as known.
        hop: label of the hop it was found in, as far as known.
    """

    file: str
    problem: str
    field: str | None = None
    hop: str | None = None


@dataclass(frozen=True)
class Result:
    """What came of a structure.

    Attributes:
        file: its name in the folder that is screened.
        sha256: of its content.
        seconds: wall-clock time by stage.
        prediction: :meth:`linegraph.predicted.Prediction.as_dict`; None after a failure.
        failure: what went wrong, if anything did.
    """

    file: str
    sha256: str
    seconds: dict[str, float]
    prediction: dict[str, Any] | None
    failure: Failure | None


@dataclass(frozen=True)
class Store:
    """The files of single structures. Each is written whole, by whoever did the structure.

    Attributes:
        folder: that of these files.
    """

    folder: Path

    def path(self, file: Path) -> Path:
        """The file of a structure's result."""
        # The hash tells names apart that a file system takes for one, and those that are cut.
        name = os.fsencode(file.name)
        stem = quote(name, safe=" ,+()[]=").lstrip(".")[:_LONGEST]
        return self.folder / f"{stem}-{hashlib.sha256(name).hexdigest()[:12]}.json"

    def write(self, file: Path, result: Result) -> None:
        """Keep a result.

        Raises:
            InputError: the file cannot be written, or a number in it is not finite.
        """
        write_json(self.path(file), asdict(result))

    def read(self, file: Path) -> Result | None:
        """The result of a structure, None where there is none yet.

        Raises:
            InputError: a file that this program has not written.
        """
        path = self.path(file)
        try:
            values = json.loads(read_text(path))
            found = {key.name: values[key.name] for key in fields(Result)}
            if found["failure"] is not None:
                found["failure"] = Failure(**found["failure"])
            result = Result(**found)
            _check(result)
            return result
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise unusable(path, error) from error

    def unfinished(self, files: Sequence[Path]) -> list[Path]:
        """Those without a result, with a failure, or changed since; results of these are removed.

        Raises:
            InputError: a file that this program has not written, or that cannot be removed.
        """
        todo = []
        for file in files:
            result = self.read(file)
            if result is not None and result.failure is None and result.sha256 == sha256_of(file):
                continue
            if result is not None:
                _remove(self.path(file))
            todo.append(file)
        return todo


def unusable(path: Path, error: Exception) -> InputError:
    """What to say of a file that this program has not written."""
    return InputError(
        f"is no result of a structure ({type(error).__name__}: {error}); delete it to have the "
        "structure done again",
        file=path,
    )


def _check(result: Result) -> None:
    """Refuse values that tables cannot be made of.

    Raises:
        TypeError: neither a prediction nor a failure, or values of other types.
    """
    failure = result.failure
    words = [result.file, result.sha256]
    if failure is not None:
        words += [failure.file, failure.problem, failure.field or "", failure.hop or ""]
    elif not isinstance(result.prediction, dict):
        raise TypeError("neither a prediction nor a failure")
    if not all(isinstance(word, str) for word in words):
        raise TypeError("something that is to be text is none")
    times = result.seconds.values() if isinstance(result.seconds, dict) else [None]
    if not all(isinstance(time, int | float) for time in times):
        raise TypeError("seconds are no numbers")


def sha256_of(file: Path) -> str:
    """Hash of a file's content; empty where it cannot be read."""
    if not file.is_file():  # a pipe would have to be waited for
        return ""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""


def name_of(file: Path) -> str:
    """The name of a file as text, whatever bytes it is of."""
    return os.fsencode(file.name).decode("utf-8", "replace")


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError as error:
        raise InputError(f"cannot be removed ({error.strerror})", file=path) from error
