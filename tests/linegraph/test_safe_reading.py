"""Files are read whole if they are files, and inflate no further than data do."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from linegraph import safe_reading
from linegraph.errors import InputError
from linegraph.safe_reading import inflated, make_way, read_bytes, read_text

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes("\ufeffé\r\nb\r".encode())
    assert read_bytes(path) == path.read_bytes()
    assert read_text(path) == path.read_text("utf-8")
    assert read_text(path, "utf-8-sig") == "é\nb\n"


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_anything_else_is_not(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/null")
    else:
        path.mkdir()
    with pytest.raises(OSError) as caught:
        read_bytes(path)
    assert caught.value.strerror is not None


@pytest.mark.parametrize("ending", COMPRESS)
def test_what_is_compressed_has_a_limit(ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe_reading, "INFLATED", 1000)
    data = bytes(1_000_000)
    assert inflated(COMPRESS[ending](data[:1000]), f"a.{ending}") == data[:1000]
    archive = COMPRESS[ending](data)
    assert 100 * len(archive) < len(data)
    with pytest.raises(InputError, match="when it is decompressed"):
        inflated(archive, f"a.{ending}")
    assert inflated(archive, "a.json") == archive


def test_data_of_a_plain_kind_are_far_from_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe_reading, "INFLATED", 0)
    text = "".join(f"[{i / 7:.16f}, {i % 5}.0, 0.5], " for i in range(10_000)).encode()
    archive = gzip.compress(text)
    assert inflated(archive, "a.gz") == text
    assert len(text) < safe_reading.TIMES / 5 * len(archive)


@pytest.mark.parametrize("kind", ["link", "pipe", "file", "nothing"])
def test_a_file_is_written_here_and_nowhere_else(kind: str, tmp_path: Path) -> None:
    path, other = tmp_path / "a", tmp_path / "other"
    other.write_text("precious")
    if kind == "link":
        path.symlink_to(other)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "file":
        path.write_text("old")
    make_way(path)
    assert path.exists() == (kind == "file") and not path.is_symlink()
    assert other.read_text() == "precious"
