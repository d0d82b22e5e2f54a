"""Random damage to bytes, whatever they mean."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

#: What numbers are replaced by: nothing that a structure, a size or a barrier can be.
NUMBERS = (
    b"1000000", b"999999999999", b"9223372036854775807", b"-1", b"0", b"1e308", b"-1e300",
    b"1e-9", b"1e9", b"nan", b"NaN", b"inf", b"-Infinity", b"1e", b"0x10", b"9" * 5000, b"1_0",
)  # fmt: skip

#: What is put between: control characters, byte order marks, halves of UTF-8 characters.
SNIPPETS = (
    b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xc3", b"\r", b"\n\n", b"\x1b[31m", b"\xe2\x80\xae",
    b"'", b'"', b"[" * 40, b"{", b"}", b",", b"../../../../tmp/evil", b"#", b";", b"\\u0000",
)  # fmt: skip

_NUMBER = re.compile(rb"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?")


def damaged(data: bytes, random: Random) -> bytes:
    """One to three pieces of damage."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        data = random.choice(KINDS)(data, random)
    return data


def _truncate(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _flip(data: bytes, random: Random) -> bytes:
    found = bytearray(data)
    for _ in range(random.choice((1, 1, 8, 100))):
        if found:
            found[random.randrange(len(found))] ^= 1 << random.randrange(8)
    return bytes(found)


def _flip_head(data: bytes, random: Random) -> bytes:
    """Where sizes, magic numbers and tables of contents are."""
    return _flip(data[:64], random) + data[64:]


def _piece(data: bytes, random: Random) -> tuple[int, int]:
    start = random.randrange(len(data) + 1)
    return start, min(len(data), start + random.choice((1, 4, 16, 100, 1000)))


def _delete(data: bytes, random: Random) -> bytes:
    start, end = _piece(data, random)
    return data[:start] + data[end:]


def _double(data: bytes, random: Random) -> bytes:
    start, end = _piece(data, random)
    return data[:end] + data[start:end] * random.choice((1, 3, 50)) + data[end:]


def _swap(data: bytes, random: Random) -> bytes:
    a, b, c, d = sorted((*_piece(data, random), *_piece(data, random)))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _zeros(data: bytes, random: Random) -> bytes:
    start, end = _piece(data, random)
    return data[:start] + bytes(end - start) + data[end:]


def _ones(data: bytes, random: Random) -> bytes:
    """Eight bytes that say a size is as large as can be."""
    start = random.randrange(len(data) + 1)
    return data[:start] + random.choice((b"\xff" * 8, b"\xff" * 7 + b"\x7f")) + data[start + 8 :]


def _number(data: bytes, random: Random) -> bytes:
    """A number in the text is another one."""
    found = list(_NUMBER.finditer(data))
    if not found:
        return _ones(data, random)
    place = random.choice(found)
    return data[: place.start()] + random.choice(NUMBERS) + data[place.end() :]


def _insert(data: bytes, random: Random) -> bytes:
    start = random.randrange(len(data) + 1)
    return data[:start] + random.choice(SNIPPETS) + data[start:]


def _line(data: bytes, random: Random) -> bytes:
    """A line is lost, doubled or moved."""
    lines = data.splitlines(keepends=True)
    if not lines:
        return data
    line = lines.pop(random.randrange(len(lines)))
    for _ in range(random.choice((0, 1, 2, 30))):
        lines.insert(random.randrange(len(lines) + 1), line)
    return b"".join(lines)


KINDS: tuple[Callable[[bytes, Random], bytes], ...] = (
    _truncate, _flip, _flip_head, _delete, _double, _swap, _zeros, _ones, _number, _number,
    _insert, _line, _line,
)  # fmt: skip
