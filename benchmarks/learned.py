"""Kernels of learned eigenbases: ``ops.graph_smooth``, ``ops.captured_energy`` and ``ops.cholesky_qr`` beside what does the same without.

``python -m benchmarks.learned`` measures the memory of the loss; times stand in ``python -m benchmarks.ops --only learned``.
"""

from __future__ import annotations

import multiprocessing
import resource
from collections.abc import Callable

import torch
from torch import Tensor

from geospec import ops

from .harness import Entry

SMOOTHING = ((2_500, 64, 60), (20_000, 64, 30), (100_000, 64, 10))  # points, columns, steps
BLOCKS = ((2_500, 64), (100_000, 64), (16, 1_024, 48))
LOSS = (2_500, 1_000, 50)  # points, probes, modes


def neighbour_graph(n: int, k: int = 15) -> tuple[Tensor, Tensor, Tensor]:
    """A symmetric averaging matrix on the nearest neighbours of random points of a sphere: about ``1.2 n k`` entries."""
    points = torch.nn.functional.normalize(torch.randn(n, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    squared, index = ops.knn(points, points, k + 1)
    weights = torch.exp(-squared / squared[:, -1].median())
    rows = torch.arange(n)[:, None].expand_as(index)
    one_way = torch.sparse_coo_tensor(torch.stack([rows.flatten(), index.flatten()]), weights.flatten(), (n, n))
    both = ((one_way + one_way.T) / 2).coalesce()
    root = torch.zeros(n).index_add(0, both.indices()[0], both.values()).rsqrt()
    crow = torch.cat([torch.zeros(1, dtype=torch.int64), torch.bincount(both.indices()[0], minlength=n).cumsum(0)])
    return crow.int(), both.indices()[1].int(), both.values() * root[both.indices()].prod(0)


def smoothing_entries(n: int, width: int, steps: int, dtype: torch.dtype) -> list[Entry]:
    """Peers repeat their product; ours is one call."""
    from scipy.sparse import csr_matrix

    crow, col, weights = neighbour_graph(n)
    values, x = weights.to(dtype), torch.randn(n, width, dtype=dtype)
    matrix = torch.sparse_csr_tensor(crow, col, values, size=(n, n), check_invariants=True)
    scipy_matrix, block = csr_matrix((values.numpy(), col.numpy(), crow.numpy()), shape=(n, n)), x.numpy()

    def repeated(product: Callable, start):
        for _ in range(steps):
            start = product(start)
        return start

    peers = {
        "csr_matmul": lambda: repeated(lambda y: ops.csr_matmul(crow, col, values, y), x),
        "torch": lambda: repeated(lambda y: matrix @ y, x),
        "SciPy": lambda: repeated(lambda y: scipy_matrix @ y, block),
    }
    size = f"{n} points, {len(col)} entries, {width} columns, {steps} steps, {str(dtype).removeprefix('torch.')}"
    ours = lambda: ops.graph_smooth(crow, col, values, x, steps)  # noqa: E731
    return [Entry("graph_smooth", size, ours, peer, name, 1.0, repeats=5) for name, peer in peers.items()]


def smoothing_gradient_entry(n: int, width: int, steps: int) -> Entry:
    """The gradient in the values beside autograd of repeated products."""
    crow, col, weights = neighbour_graph(n)
    values, x = weights.requires_grad_(), torch.randn(n, width)

    def ours():
        torch.autograd.grad(ops.graph_smooth(crow, col, values, x, steps).square().sum(), values)

    def peer():
        y = x
        for _ in range(steps):
            y = ops.csr_matmul(crow, col, values, y)
        torch.autograd.grad(y.square().sum(), values)

    size = f"{n} points, {width} columns, {steps} steps, float32"
    return Entry("graph_smooth, gradient in the values", size, ours, peer, "csr_matmul", 1.0, repeats=3)


def loss_inputs() -> tuple[Tensor, Tensor]:
    n, m, k = LOSS
    return torch.linalg.qr(torch.randn(n, k)).Q.requires_grad_(), torch.randn(n, m)


def captured_loss(q: Tensor, f: Tensor) -> Tensor:
    """Gradient of the nested reconstruction loss by captured energies."""
    total = f.square().sum()
    return torch.autograd.grad((1 - ops.captured_energy(q, f).cumsum(0) / total).mean(), q)[0]


def plain_loss(q: Tensor, f: Tensor) -> Tensor:
    """The same identity, left to autograd."""
    total = f.square().sum()
    return torch.autograd.grad((1 - (q.T @ f).square().sum(1).cumsum(0) / total).mean(), q)[0]


def direct_loss(q: Tensor, f: Tensor) -> Tensor:
    """The same by reconstruction of every truncation, as the loss is defined."""
    total = f.square().sum()
    left = [(f - q[:, :k] @ (q[:, :k].T @ f)).square().sum() for k in range(1, q.shape[1] + 1)]
    return torch.autograd.grad((torch.stack(left) / total).mean(), q)[0]


def loss_entries() -> list[Entry]:
    q, f = loss_inputs()
    size = "{} points, {} probes, {} modes, float32".format(*LOSS)
    ours = lambda: captured_loss(q, f)  # noqa: E731
    return [
        Entry("nested loss and gradient", size, ours, lambda: direct_loss(q, f), "every truncation", 0.1, repeats=3),
        Entry("nested loss and gradient", size, ours, lambda: plain_loss(q, f), "torch, same identity", 1.1, repeats=15),
    ]


def qr_entries(shape: tuple[int, ...], dtype: torch.dtype) -> list[Entry]:
    z, weights = torch.randn(shape, dtype=dtype).requires_grad_(), torch.randn(shape, dtype=dtype)
    size = f"{shape}, {str(dtype).removeprefix('torch.')}"

    def both(qr: Callable) -> Callable:
        return lambda: torch.autograd.grad((qr(z)[0] * weights).sum(), z)

    return [
        Entry("cholesky_qr", size, lambda: ops.cholesky_qr(z), lambda: torch.linalg.qr(z), "torch", 1.0),
        Entry("cholesky_qr and gradient", size, both(ops.cholesky_qr), both(torch.linalg.qr), "torch", 1.0),
    ]


def entries() -> list[Entry]:
    """Training sizes and large ones."""
    types = (torch.float32, torch.float64)
    return [
        *(entry for size in SMOOTHING for dtype in types for entry in smoothing_entries(*size, dtype)),
        smoothing_gradient_entry(2_500, 64, 60),
        *loss_entries(),
        *(entry for shape in BLOCKS for dtype in types for entry in qr_entries(shape, dtype)),
    ]


def _growth(name: str, answer) -> None:
    """Bytes by which the peak of this process grows in one run, after a small one has loaded all that is loaded once."""
    run = {"captured": captured_loss, "direct": direct_loss}[name]
    run(torch.linalg.qr(torch.randn(200, 5)).Q.requires_grad_(), torch.randn(200, 10))
    inputs = loss_inputs()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run(*inputs)
    answer.put((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)


def loss_memory(name: str) -> int:
    """The above in a process of its own: ``captured`` or ``direct``."""
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=_growth, args=(name, answer))
    process.start()
    grown = answer.get()
    process.join()
    return grown


def main() -> None:
    grown = {name: loss_memory(name) / 1e6 for name in ("captured", "direct")}
    print("peak memory of the nested loss and its gradient beyond its inputs, {} points, {} probes, {} modes, float32:".format(*LOSS))
    print(f"ours {grown['captured']:.1f} MB, every truncation {grown['direct']:.1f} MB, ratio {grown['direct'] / grown['captured']:.0f}")


if __name__ == "__main__":
    main()
