"""For tests of one's own code: sample shapes with closed forms, tolerances, and the contract of a Basis.

The contract needs ``pytest``; shapes and tolerances do not.
"""

from .contract import BasisContract
from .shapes import bumpy_sphere, disjoint_union, grid, icosphere, permuted, sphere_cloud, torus
from .tolerances import tolerance

__all__ = ["BasisContract", "bumpy_sphere", "disjoint_union", "grid", "icosphere", "permuted", "sphere_cloud", "tolerance", "torus"]
