"""Compiled kernels as PyTorch operators: any device, autograd, ``torch.compile``.

Each file holds one family: the public face with its checks, the fake and the gradient, and a twin in
plain PyTorch that serves as executable specification. Their schemas stand in ``csrc/library.cpp``.
"""

from .assembly import Adjacency, assemble_stiffness, mesh_adjacency
from .captured_energy import captured_energy
from .cholesky_qr import cholesky_qr
from .cotangent import cotangent
from .csr_matmul import chebyshev_filter, csr_matmul, csr_sampled_products
from .directions import lonlat_to_xyz, xyz_to_lonlat
from .farthest_points import farthest_points
from .graph_smooth import graph_smooth
from .harmonic_table import CONVENTIONS, HarmonicConvention
from .isosurface import isosurface
from .legendre_transform import ring_analysis, ring_synthesis
from .library import backend_info
from .local_triangles import local_triangles
from .masked_map_solve import masked_map_solve, masked_map_solve_ex
from .mesh_sdf import mesh_sdf
from .neighbours import knn, radius_search
from .noisy_magnitudes import MaskSums, mask_sums, noisy_magnitudes
from .robust_stiffness import robust_stiffness
from .spectral_knn import spectral_knn
from .spectral_nearest import spectral_nearest
from .spherical_harmonics import spherical_harmonics, spherical_harmonics_jvp
from .spherical_harmonics_linear import spherical_harmonics_linear
from .wavelet3d import max_level, wavelet3d_analysis, wavelet3d_synthesis
from .wavelet_filters import Filters, filters, wavelets
from .wavelet_tree import gather_trees, largest_cells, pack_children, scatter_trees, unpack_children
from .zoomout import zoomout

__all__ = [
    "CONVENTIONS",
    "Adjacency",
    "Filters",
    "HarmonicConvention",
    "MaskSums",
    "assemble_stiffness",
    "backend_info",
    "captured_energy",
    "chebyshev_filter",
    "cholesky_qr",
    "cotangent",
    "csr_matmul",
    "csr_sampled_products",
    "farthest_points",
    "filters",
    "gather_trees",
    "graph_smooth",
    "isosurface",
    "knn",
    "largest_cells",
    "local_triangles",
    "lonlat_to_xyz",
    "mask_sums",
    "masked_map_solve",
    "masked_map_solve_ex",
    "max_level",
    "mesh_adjacency",
    "mesh_sdf",
    "noisy_magnitudes",
    "pack_children",
    "radius_search",
    "ring_analysis",
    "ring_synthesis",
    "robust_stiffness",
    "scatter_trees",
    "spectral_knn",
    "spectral_nearest",
    "spherical_harmonics",
    "spherical_harmonics_jvp",
    "spherical_harmonics_linear",
    "unpack_children",
    "wavelet3d_analysis",
    "wavelet3d_synthesis",
    "wavelets",
    "xyz_to_lonlat",
    "zoomout",
]
