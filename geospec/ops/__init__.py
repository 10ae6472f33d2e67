"""Compiled kernels as PyTorch operators: any device, autograd, ``torch.compile``.

Each file holds one family: the public face with its checks, the fake and the gradient, and a twin in
plain PyTorch that serves as executable specification. Their schemas stand in ``csrc/library.cpp``.
"""

from .assembly import Adjacency, assemble_stiffness, mesh_adjacency
from .cotangent import cotangent
from .csr_matmul import chebyshev_filter, csr_matmul, csr_sampled_products
from .library import backend_info
from .spectral_nearest import spectral_nearest

__all__ = [
    "Adjacency",
    "assemble_stiffness",
    "backend_info",
    "chebyshev_filter",
    "cotangent",
    "csr_matmul",
    "csr_sampled_products",
    "mesh_adjacency",
    "spectral_nearest",
]
