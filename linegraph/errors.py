"""The one exception for input that cannot be used."""

from __future__ import annotations

#: Characters of a problem that are shown; a file can say what it likes, and errors quote it.
LONGEST = 2000


class InputError(ValueError):
    """Something a user gave cannot be used.

    The message says what is wrong and, as far as known, where: file, record and field.
    The command line turns it into one line and exit code 2.

    Args:
        problem: what is wrong, in plain words.
        file: the file it was found in.
        record: name or position of the record within the file.
        field: the field of the record, as a dotted path (``atoms.coords``).
    """

    def __init__(
        self,
        problem: str,
        *,
        file: object = None,
        record: object = None,
        field: str | None = None,
    ) -> None:
        self.problem = problem
        self.file = file
        self.record = record
        self.field = field
        super().__init__(problem)

    def at(
        self, *, file: object = None, record: object = None, field: str | None = None
    ) -> InputError:
        """The same problem with the places filled in that were unknown where it was raised."""
        return InputError(
            self.problem,
            file=self.file if self.file is not None else file,
            record=self.record if self.record is not None else record,
            field=self.field if self.field is not None else field,
        )

    def __str__(self) -> str:
        place = []
        if self.file is not None:
            place.append(_shown(self.file))
        if self.record is not None:
            place.append(f"record {_shown(self.record)}")
        if self.field is not None:
            place.append(f"field {_shown(self.field)}")
        # The text of a traceback, which another process hands on, is left as it is.
        problem = self.problem if "\n" in self.problem else shortened(self.problem, LONGEST)
        return ": ".join([", ".join(place), problem]) if place else problem


def shortened(text: str, most: int) -> str:
    """The beginning and the end of a text, if all of it is more than so many characters."""
    return text if len(text) <= most else f"{text[: most - most // 3]}...{text[-(most // 3) :]}"


def _shown(place: object) -> str:
    """A name as a terminal can show it: line breaks and control characters are escaped."""
    text = shortened(str(place), LONGEST // 4)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
