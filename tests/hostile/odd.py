"""Things that have the name of a file and are none, or that are named as no file should be."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

Make = Callable[[Path], Path]


def odd_files(name: str) -> dict[str, Make]:
    """By what they are; each makes one in a folder, called ``name`` or with its ending."""
    stem, ending = name.split(".", 1) if "." in name else (name, "")
    ending = f".{ending}" if ending else ""
    made: dict[str, Make] = {
        "nothing": lambda folder: folder / name,
        "empty": lambda folder: _written(folder / name, b""),
        "folder": lambda folder: _folder(folder / name),
        "FIFO": lambda folder: _fifo(folder / name),
        "device": lambda folder: _device(folder / name),
        "link out of the folder": lambda folder: _link(folder / name, _outside(folder)),
        "link to itself": lambda folder: _link(folder / name, name),
        "link to nothing": lambda folder: _link(folder / name, "nowhere"),
        "link to its folder": lambda folder: _link(folder / name, "."),
        "unreadable": lambda folder: _unreadable(folder / name),
        "zeros": lambda folder: _written(folder / name, bytes(1 << 20)),
        "name with a line break": lambda folder: _written(
            folder / f"{stem}\n\x1b[31m{ending}", b"x"
        ),
        "name not in UTF-8": lambda folder: _bytes(
            folder, f"{stem}".encode() + b"\xff" + ending.encode()
        ),
        "name of 5,000 letters": lambda folder: folder / (stem + "x" * 5000 + ending),
        "name of 240 letters": lambda folder: _written(folder / (stem + "x" * 220 + ending), b"x"),
        "name with an @": lambda folder: _written(folder / f"{stem}@1:2{ending}", b"x"),
        "name with a *": lambda folder: _written(folder / f"{stem}*{ending}", b"x"),
    }
    return {f"{what} ({name})": make for what, make in made.items()}


def at(folder: str, made: dict[str, Make]) -> dict[str, Make]:
    """The same, each beside an innocent file in a folder that is read as a whole."""

    def within(make: Make) -> Make:
        def folder_of(home: Path) -> Path:
            place = home / folder
            place.mkdir()
            make(place)
            return place

        return folder_of

    return {what: within(make) for what, make in made.items()}


def odd_folders() -> dict[str, Make]:
    """Folders of bands with odd things in them."""
    found = at("given", {**odd_files("POSCAR"), **odd_files("targets.csv"), **odd_files("a.cif")})

    def loop(home: Path) -> Path:
        place = home / "given"
        (place / "00").mkdir(parents=True)
        for number in range(1, 4):
            (place / f"{number:02d}").symlink_to("..")
        return place

    def images_of_devices(home: Path) -> Path:
        place = home / "given"
        for number in range(3):
            (place / f"{number:02d}").mkdir(parents=True)
            os.mkfifo(place / f"{number:02d}" / "CONTCAR")
            _device(place / f"{number:02d}" / "POSCAR")
        return place

    def chain(home: Path) -> Path:
        place = home / "given"
        place.mkdir()
        for number in range(60):
            (place / f"run{number}").symlink_to(f"run{number + 1}")
        return place

    def many(home: Path) -> Path:
        place = home / "given"
        place.mkdir()
        for number in range(3000):
            (place / f"POSCAR-{number}").write_bytes(b"")
        return place

    return {
        **found,
        "NEB images that are links upwards": loop,
        "NEB images that are FIFOs": images_of_devices,
        "chain of links": chain,
        "3,000 empty files": many,
    }


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def _link(path: Path, target: str) -> Path:
    path.symlink_to(target)
    return path


def _device(path: Path) -> Path:
    """Zeros without end. Never a link to the one in /dev: who writes to it has replaced that."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except OSError:  # only root may make one
        os.mkfifo(path)
    return path


def _outside(folder: Path) -> str:
    """A file that is none of the case's; what writes to it is found out."""
    (folder / "elsewhere").mkdir(exist_ok=True)
    (folder / "elsewhere" / "precious").write_bytes(b"x")
    return os.path.join("elsewhere", "precious")


def _unreadable(path: Path) -> Path:
    path.write_bytes(b"x")
    path.chmod(0)
    return path


def _bytes(folder: Path, name: bytes) -> Path:
    path = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
    path.write_bytes(b"x")
    return path
