"""Whether a POSCAR agrees with itself, which pymatgen does not ask."""

from __future__ import annotations

import re
from itertools import takewhile

from .elements import Z_OF
from .errors import InputError

#: Lines of names or of counts, where there are more than one of each.
_LINES = 10

# Fe, Fe_pv, Fe_sv/f474ac0d: potentials of VASP.
_NAME = re.compile(r"([A-Z][a-z]?)(?:[_/].*)?")

# O, O1, O2-: what programs write behind a place.
_LABEL = re.compile(r"([A-Z][a-z]?)\d*[+-]?")


def check_poscar(text: str) -> None:
    """Refuse a POSCAR whose names, counts, places and labels do not fit together.

    Anything else that may be wrong is left to whoever parses it.

    Args:
        text: its content.

    Raises:
        InputError: more or fewer names than counts, more or fewer atoms than counted, no line that
            says what coordinates are, or labels behind the places of other elements than those
            named.
    """
    # A blank line ends the places; the first line may be one.
    title, *rest = text.rstrip().splitlines() or [""]
    lines = [title, *takewhile(str.strip, rest)]
    _check_room(lines)
    words = [_plain(line) for line in lines]
    named = next((n for n in range(_LINES) if _is_counts(words, 5 + n)), None)
    if named is None:
        return
    names = [name for line in words[5 : 5 + named] for name in line]
    after = 5 + 2 * max(1, named) if named else 6
    counts = [int(count) for line in words[5 + named : after] for count in line if count.isdigit()]
    if named and len(names) != len(counts):
        raise InputError(
            f"names {len(names)} elements ({' '.join(names)}), but has {len(counts)} counts of "
            f"atoms ({' '.join(map(str, counts))})"
        )
    places = words[after:]
    selective = bool(places and places[0]) and places[0][0][0] in "sS"
    mode, *places = places[selective:] or [[]]
    if mode and _is_number(mode[0]):
        raise InputError(
            f"has a number where it is to say Direct or Cartesian ({lines[after + selective]!r})"
        )
    _check_atoms(places, sum(counts))
    if named:
        elements = [name for name, n in zip(names, counts, strict=True) for _ in range(n)]
        _check_labels(elements, places, 6 if selective else 3)


def _check_room(lines: list[str]) -> None:
    """Refuse more atoms than there are lines: pymatgen makes a list of their elements first."""
    for line in lines[5:7]:
        # As pymatgen reads it: what follows a word is a comment.
        counts = list(takewhile(str.isdecimal, line.split()))
        if sum(len(count) > 9 for count in counts) or sum(map(int, counts)) > len(lines):
            raise InputError(f"declares more atoms than its {len(lines)} lines can hold")


def _check_atoms(places: list[list[str]], count: int) -> None:
    rows = list(takewhile(_is_place, places))
    if len(rows) != count and (len(rows) == len(places) or len(rows) > count):
        raise InputError(f"counts {count} atoms, but lists the places of {len(rows)}")


def _check_labels(elements: list[str], places: list[list[str]], column: int) -> None:
    """Compare labels, if all atoms have one that is an element's, with the names."""
    found = [_LABEL.fullmatch(row[column]) if len(row) > column else None for row in places]
    labels = [label[1] for label in found[: len(elements)] if label and label[1] in Z_OF]
    named = [name[1] for name in map(_NAME.fullmatch, elements) if name]
    if not len(labels) == len(named) == len(elements):
        return
    for atom, (label, name) in enumerate(zip(labels, named, strict=True)):
        if label != name:
            raise InputError(
                f"atom {atom} is {name} by the names of the elements, but has the label "
                f"{places[atom][column]}",
                field="elements",
            )


def _plain(line: str) -> list[str]:
    """The words of a line, without what follows a mark of a comment."""
    return re.split("[!#]", line, maxsplit=1)[0].split()


def _is_counts(words: list[list[str]], line: int) -> bool:
    return line < len(words) and bool(words[line]) and words[line][0].isdigit()


def _is_place(row: list[str]) -> bool:
    return len(row) >= 3 and all(map(_is_number, row[:3]))


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
