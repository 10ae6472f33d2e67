"""From a shape to its Laplacian: stiffness and mass, one sign and one normalisation for every construction."""

from .connection import ConnectionLaplacian, connection_laplacian
from .construction import KINDS, laplacian
from .operator import Laplacian

__all__ = ["KINDS", "ConnectionLaplacian", "Laplacian", "connection_laplacian", "laplacian"]
