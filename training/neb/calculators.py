"""Interatomic potentials by name, as ASE calculators."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import io
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from linegraph.errors import InputError

#: What ``chgnet`` can be told by options: the weights of its wheel, and the precision.
_CHGNET_OPTIONS: dict[str, tuple[str, ...]] = {
    "model": ("0.3.0", "0.2.0", "r2scan"),
    "dtype": ("float64", "float32"),
}


class Loaded(NamedTuple):
    """A calculator that is ready.

    Attributes:
        calculator: any ASE calculator with energy and forces.
        version: of its package and, as far as known, of its weights.
        dtype: torch's default precision as the potential has set it, and wants it when it runs.
    """

    calculator: Any
    version: str
    dtype: Any = None

    @contextmanager
    def ready(self) -> Iterator[Any]:
        """The calculator, in surroundings that it can run in; after that, as they were."""
        import torch

        before = torch.get_default_dtype()
        torch.set_default_dtype(self.dtype or before)
        try:
            yield self.calculator
        finally:
            torch.set_default_dtype(before)


@dataclass(frozen=True)
class Potential:
    """Which potential, before anything of it is loaded. Can be sent to another process.

    A file of weights for ``chgnet`` or ``mace`` is a pickle: reading it runs code that whoever
    made it has put there. Only name files whose origin you trust.

    Attributes:
        name: ``chgnet`` (weights come with the package), ``mace`` (with a file of weights), or an
            ASE calculator by import path, ``package.module:Class`` or ``package.module:function``,
            called with the options as keywords.
        weights: a file; None where none is needed.
        options: of the calculator. ``chgnet`` takes ``model`` (0.3.0, 0.2.0, r2scan) and ``dtype``
            (float64, float32); ``mace`` those of ``mace.calculators.MACECalculator``, with float64
            as the default of ``default_dtype``.
        device: cpu, cuda or cuda:N; a calculator by import path is told by its options instead.
    """

    name: str = "chgnet"
    weights: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    device: str = "cpu"

    def load(self) -> Loaded:
        """Load it.

        Raises:
            InputError: an unknown name, a package that is not installed, weights that are missing
                or cannot be read, options it does not take.
        """
        import torch

        before = torch.get_default_dtype()
        try:
            load = {"chgnet": self._chgnet, "mace": self._mace}.get(self.name, self._imported)
            return load()._replace(dtype=torch.get_default_dtype())
        finally:
            torch.set_default_dtype(before)

    def fingerprint(self) -> str | None:
        """SHA-256 (hex) of the file of weights, None without one.

        Raises:
            InputError: the file cannot be read.
        """
        if self.weights is None:
            return None
        try:
            with self.weights.open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise InputError(f"cannot be read ({error.strerror})", file=self.weights) from error

    def _chgnet(self) -> Loaded:
        for key, value in self.options.items():
            known = _CHGNET_OPTIONS.get(key, ())
            if str(value) not in known:
                said = ", ".join(f"{k}={'|'.join(v)}" for k, v in _CHGNET_OPTIONS.items())
                raise InputError(f"chgnet takes {said}, not {key}={value}", field=key)
        if self.weights is not None and "model" in self.options:
            raise InputError("give either this or a file of weights", field="model")
        try:
            from chgnet.model.model import CHGNet

            from .chgnet64 import CHGNet32, CHGNet64
        except ImportError as error:
            raise _not_installed("chgnet", "neb", error) from error
        wanted = str(self.options.get("model", "0.3.0"))
        name = f"model {wanted}"
        with redirect_stdout(io.StringIO()):
            if self.weights is None:
                model = CHGNet.load(model_name=wanted, use_device=self.device, verbose=False)
            else:
                model = _read(lambda path: CHGNet.from_file(str(path)), self.weights)
                name = f"weights {(self.fingerprint() or '')[:12]}"
            double = self.options.get("dtype", "float64") == "float64"
            calculator = (CHGNet64 if double else CHGNet32)(model, self.device)
        return Loaded(calculator, f"chgnet {importlib.metadata.version('chgnet')}, {name}")

    def _mace(self) -> Loaded:
        if self.weights is None:
            raise InputError(
                "mace needs --weights FILE, a model file (a pickle: it runs code of whoever made "
                "it, so only one you trust)",
                field="weights",
            )
        fingerprint = self.fingerprint()
        variable = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
        before = os.environ.get(variable)
        try:
            # Before anything imports e3nn, which mace has to set up.
            import mace  # noqa: F401
            import torch
            from mace.calculators import MACECalculator
        except ImportError as error:
            raise _not_installed("mace-torch", "mace", error) from error
        finally:
            # The import sets it, and every other file of this process would be read as a pickle.
            if before is None:
                os.environ.pop(variable, None)
        model = _read(
            lambda path: torch.load(path, map_location=self.device, weights_only=False),
            self.weights,
        )
        options = {"default_dtype": "float64", **self.options}
        try:
            calculator = MACECalculator(models=[model], device=self.device, **options)
        except Exception as error:
            raise InputError(
                f"mace cannot use it ({type(error).__name__}: {error})", file=self.weights
            ) from error
        version = importlib.metadata.version("mace-torch")
        return Loaded(calculator, f"mace-torch {version}, weights {(fingerprint or '')[:12]}")

    def _imported(self) -> Loaded:
        module, colon, name = self.name.partition(":")
        if not (colon and module and name):
            raise InputError(
                f"unknown calculator {self.name!r}; known are chgnet, mace, and any ASE calculator "
                "as package.module:Class",
                field="calculator",
            )
        try:
            make = getattr(importlib.import_module(module), name)
        # Whatever a strange module stumbles over while it is imported.
        except Exception as error:
            raise InputError(
                f"{self.name} cannot be imported ({_line(error)}); is its package installed?",
                field="calculator",
            ) from error
        try:
            calculator = make(**self.options)
        except Exception as error:
            raise InputError(
                f"{self.name} cannot be made with options {dict(self.options)} ({_line(error)})",
                field="calculator",
            ) from error
        if not hasattr(calculator, "get_property"):
            raise InputError(f"{self.name} makes no ASE calculator", field="calculator")
        return Loaded(calculator, _version_of(module.partition(".")[0]))


def potential_of(
    calculator: str,
    weights: str | PathLike[str] | None,
    options: Mapping[str, Any] | None,
    device: str,
) -> Potential:
    """The potential that a user has asked for.

    Raises:
        InputError: no such device here, or weights for a calculator that takes none.
    """
    from training.fit import Machine

    Machine.usable(Machine(device))
    if weights is not None and ":" in calculator:
        raise InputError(
            f"{calculator} takes its weights by an option, not by --weights", field="weights"
        )
    if device == "auto":
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
    path = None if weights is None else Path(weights)
    return Potential(calculator, path, dict(options or {}), device)


def _read(read: Callable[[Path], Any], path: Path) -> Any:
    """What is in a file of weights.

    Raises:
        InputError: whatever the reader says; pickles can fail in any way.
    """
    try:
        return read(path)
    except Exception as error:
        line = (str(error).splitlines() or [""])[0]
        raise InputError(
            f"no readable weights of this potential ({type(error).__name__}: {line})", file=path
        ) from error


def _not_installed(package: str, extra: str, error: ImportError) -> InputError:
    return InputError(
        f"this calculator needs {package}: pip install 'linegraph[{extra}]' ({error})",
        field="calculator",
    )


def _line(error: Exception) -> str:
    """An error in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _version_of(package: str) -> str:
    found = importlib.metadata.packages_distributions().get(package, [])
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in sorted(set(found)))
