"""Models by name: views, trunk, read-out and head put together."""

from .band import BandModel
from .base import Model
from .local import LocalModel
from .pair import DifferenceModel, PairModel
from .properties import PropertiesModel
from .registry import PROPERTIES, PUBLISHED, build_model, models
from .single import SingleModel

__all__ = [
    "PROPERTIES",
    "PUBLISHED",
    "BandModel",
    "DifferenceModel",
    "LocalModel",
    "Model",
    "PairModel",
    "PropertiesModel",
    "SingleModel",
    "build_model",
    "models",
]
