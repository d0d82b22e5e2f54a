"""One HTML page that needs nothing but itself."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from training.files import write_text

#: What stands where there is no number.
NONE = "–"


class Cell(NamedTuple):
    """A cell of a table: what it says, and in small print below, what else there is to say."""

    text: str
    small: str = ""
    strong: bool = False


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: str = "text"


@dataclass(frozen=True)
class Heading:
    """A heading within a section."""

    text: str
    kind: str = "heading"


@dataclass(frozen=True)
class Grid:
    """A table; its first columns, ``names`` of them, hold words, the others numbers.

    Attributes:
        header: one text a column.
        rows: one cell a column each; a plain string is a cell too.
        caption: above it.
        names: number of columns with words.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[Cell | str]]
    caption: str = ""
    names: int = 1
    kind: str = "grid"

    @property
    def cells(self) -> list[list[Cell]]:
        """All cells, none of them a plain string."""
        return [[c if isinstance(c, Cell) else Cell(c) for c in row] for row in self.rows]


@dataclass(frozen=True)
class Pictures:
    """PNG files side by side, each with what it shows; ``wide`` ones stand alone in a row."""

    items: Sequence[tuple[Path, str]]
    wide: bool = False
    kind: str = "pictures"

    @property
    def inline(self) -> list[tuple[str, str]]:
        """The content of each file as base64, and what it shows."""
        return [(base64.b64encode(path.read_bytes()).decode(), said) for path, said in self.items]


Block = Text | Heading | Grid | Pictures


@dataclass(frozen=True)
class Section:
    """A part of the page with an entry in its table of contents.

    Attributes:
        key: its anchor.
        title: its heading.
        blocks: what stands in it.
    """

    key: str
    title: str
    blocks: Sequence[Block]


def write_page(path: Path, title: str, lead: Sequence[str], sections: Sequence[Section]) -> None:
    """Write the page, pictures and style inside it; every text is escaped.

    Args:
        path: of the ``.html`` file.
        title: of the page.
        lead: paragraphs below the title.
        sections: in order.

    Raises:
        InputError: the file cannot be written.
    """
    # Here, as with every package that only a report needs.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("training", "judging"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("report.html.j2")
    page = template.render(title=title, lead=lead, sections=sections)
    write_text(path, page + "\n")
