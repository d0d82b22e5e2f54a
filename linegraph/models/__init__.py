"""Models by name: views, trunk, read-out and head put together."""

from .band import BandModel
from .registry import build_model, models

__all__ = ["BandModel", "build_model", "models"]
