"""Eigenpairs of matrices that SciPy assembled: an L-shaped drum by finite elements, then the graph of its nodes.

    python examples/eigenpairs_of_any_matrix.py --cells 120

Prints frequencies beside known ones, fifty more, a window and the residuals; writes ``drum.png`` (the first twelve modes).
"""

import argparse
from pathlib import Path

import numpy as np
import scipy.sparse as sparse
import torch

import geospec
from geospec import viz

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--cells", type=int, default=60, help="squares along an edge of length one")
parser.add_argument("--out", type=Path, default=Path("out"))
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)


def told(pairs: geospec.Eigenpairs) -> str:
    done = pairs.report
    return f"worst residual {pairs.residuals.max():.1e}, {done['solver']}, {'none missed' if done['counted'] else 'not counted'}"


# Bilinear elements on the square [0, 2]^2 are products of linear ones on a line. The drum is the square without its upper right
# quarter, held at its rim: keep the nodes inside.
cells = options.cells
side, h = 2 * cells + 1, 1 / cells
ones = np.ones(side)
stiff = sparse.diags([-ones[1:], 2 * ones, -ones[1:]], [-1, 0, 1]) / h
heavy = sparse.diags([ones[1:], 4 * ones, ones[1:]], [-1, 0, 1]) * h / 6
y, x = np.divmod(np.arange(side * side), side)
inside = np.flatnonzero((x > 0) & (y > 0) & (x < 2 * cells) & (y < 2 * cells) & ((x < cells) | (y < cells)))
stiffness = (sparse.kron(stiff, heavy) + sparse.kron(heavy, stiff)).tocsr()[inside][:, inside]
mass = sparse.kron(heavy, heavy).tocsr()[inside][:, inside]

# S x = lambda M x with a mass that is no diagonal. Arrays in, arrays out.
pairs = geospec.eigenpairs(stiffness, mass, 50)
print(f"{len(inside)} nodes, 50 modes: {told(pairs)}")
print(f"first eigenvalue {pairs.values[0]:.4f} (known: 9.6397), third {pairs.values[2]:.4f} (two pi squared: {2 * np.pi**2:.4f})")

# Fifty more. Those at hand are kept as they are; only the new ones are searched for.
more = geospec.eigenpairs(stiffness, mass, 100, start=pairs)
print(f"100 modes, {more.report['kept']} of them kept: {told(more)}")
print(f"the first fifty moved by {np.abs(more.values[:50] / pairs.values - 1).max():.1e}")

# All eigenvalues in a window, without those below it.
low, high = 500.0, 600.0
band = geospec.eigenpairs(stiffness, mass, window=(low, high))
print(f"{len(band.values)} eigenvalues from {low:.0f} to {high:.0f}: {told(band)}")

# A factor kept for itself: the sign of its pivots counts eigenvalues without computing any.
factor = geospec.SparseFactor(stiffness - low * mass)
print(f"{factor.negative} eigenvalues below {low:.0f}")

# Any graph will do: here each node and its twelve nearest, Laplacian D - W, no mass. Tensors in, tensors out.
points = torch.from_numpy(np.stack([x, y], axis=1)[inside] * h)
neighbours = geospec.ops.knn(points, points, 12, exclude_self=True)[1].flatten().numpy()
links = sparse.csr_matrix((np.ones(len(neighbours)), (np.repeat(np.arange(len(points)), 12), neighbours)))
links = links.maximum(links.T)
graph = geospec.laplacians.from_scipy(sparse.diags(np.asarray(links.sum(axis=1)).ravel()) - links)
cut = geospec.eigenpairs(graph, k=6)
print(f"graph: eigenvalues {', '.join(f'{value:.2g}' for value in cut.values.abs().tolist())}: {told(cut)}")

# The modes on the drum, as a picture.
number = np.full(side * side, -1)
number[inside] = np.arange(len(inside))
corner = number[(y[:, None] * side + x[:, None] + [0, 1, side + 1, side])[(x < 2 * cells) & (y < 2 * cells)]]
corner = torch.from_numpy(corner[(corner >= 0).all(axis=1)])
drum = geospec.Mesh(torch.nn.functional.pad(points, (0, 1)), torch.cat([corner[:, [0, 1, 2]], corner[:, [0, 2, 3]]]))
basis = geospec.SampledBasis(torch.from_numpy(pairs.vectors), drum.measure, torch.from_numpy(pairs.values))
viz.mode_sheet(drum, basis, options.out / "drum.png")
print(f"wrote drum.png to {options.out}")
