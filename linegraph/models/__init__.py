"""Models by name: views, trunk, read-out and head put together."""

from .band import BandModel
from .base import Model
from .local import LocalModel
from .pair import DifferenceModel, PairModel
from .properties import PropertiesModel
from .registry import PROPERTIES, build_model, models

__all__ = [
    "PROPERTIES",
    "BandModel",
    "DifferenceModel",
    "LocalModel",
    "Model",
    "PairModel",
    "PropertiesModel",
    "build_model",
    "models",
]
