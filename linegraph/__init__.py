"""ALIGNN graphs, line graphs, layers and migration-barrier models on PyTorch Geometric."""

from .convert import load_reference_state_dict, reference_state_dict
from .crystal import SHELL_TOL, crystal_graph, expand
from .ends import Ends
from .errors import InputError
from .graph import CrystalGraph
from .kernels import BackendInfo, backends, set_backend, use_backend
from .models import build_model, models
from .paths import views
from .prediction import predict
from .structure import Cell
from .transforms import LineGraph
from .version import __version__

__all__ = [
    "SHELL_TOL",
    "BackendInfo",
    "Cell",
    "CrystalGraph",
    "Ends",
    "InputError",
    "LineGraph",
    "__version__",
    "backends",
    "build_model",
    "crystal_graph",
    "expand",
    "load_reference_state_dict",
    "models",
    "predict",
    "reference_state_dict",
    "set_backend",
    "use_backend",
    "views",
]
