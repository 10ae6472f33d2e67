"""From a shape to its Laplacian, and the other differential operators: one sign and one normalisation for every construction."""

from .anisotropic import anisotropic_laplacian
from .boundary import boundary_edges, boundary_mass, boundary_vertices, with_robin
from .connection import ConnectionLaplacian, connection_laplacian
from .construction import KINDS, laplacian
from .exterior import exterior_derivative, hodge_laplacian, hodge_star, whitney_laplacian, whitney_mass
from .gradient import divergence, face_gradient, gradient
from .graph import graph_laplacian
from .mass import mass_matrix
from .operator import Laplacian
from .sparse import from_scipy, to_scipy

__all__ = [
    "KINDS",
    "ConnectionLaplacian",
    "Laplacian",
    "anisotropic_laplacian",
    "boundary_edges",
    "boundary_mass",
    "boundary_vertices",
    "connection_laplacian",
    "divergence",
    "exterior_derivative",
    "face_gradient",
    "from_scipy",
    "gradient",
    "graph_laplacian",
    "hodge_laplacian",
    "hodge_star",
    "laplacian",
    "mass_matrix",
    "to_scipy",
    "whitney_laplacian",
    "whitney_mass",
    "with_robin",
]
