"""Models by name: views, trunk, read-out and head put together."""

from .band import BandModel
from .base import Model
from .registry import build_model, models

__all__ = ["BandModel", "Model", "build_model", "models"]
