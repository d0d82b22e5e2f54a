"""Results of a screening on disk: one file for each structure."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

from linegraph.errors import InputError
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
            values = json.loads(path.read_text(encoding="utf-8"))
            found = {key.name: values[key.name] for key in fields(Result)}
            if found["failure"] is not None:
                found["failure"] = Failure(**found["failure"])
            elif not isinstance(found["prediction"], dict):
                raise TypeError("neither a prediction nor a failure")
            return Result(**found)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"is no result of a structure ({type(error).__name__}: {error}); delete it to "
                "have the structure done again",
                file=path,
            ) from error

    def read_all(self, files: Sequence[Path]) -> Iterator[Result]:
        """The results that there are, one at a time, in the order of the files.

        Raises:
            InputError: a file that this program has not written.
        """
        for file in files:
            if (result := self.read(file)) is not None:
                yield result

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


def sha256_of(file: Path) -> str:
    """Hash of a file's content; empty where it cannot be read."""
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
