"""Orthonormal columns from independent ones: thin QR of tall blocks, by products."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import ArgumentError, problem
from . import library  # noqa: F401  (holds the schema)

DOUBLE = torch.finfo(torch.float64).eps
PASSES = 5  # three suffice where a shift is needed at first; more show that none will do
AT_ONCE = {"cpu": 1 << 20, "cuda": 1 << 24}  # elements of float32 that are turned into double as one block
PART = {"cpu": 1 << 17, "cuda": 1 << 24}  # and of a larger block at a time


def cholesky_qr(z: Tensor, *, rank_guard: bool = False) -> tuple[Tensor, Tensor]:
    """Thin QR ``z = Q R`` with the diagonal of ``R`` positive, which makes it unique.

    By Cholesky: ``z^T z = R^T R``, ``Q = z R^-1``, with columns scaled to length one and all sums in double. Repeated until
    the triangle that was divided by is so well conditioned that ``Q`` is orthonormal to the rounding of its type: float32
    takes one pass up to a condition of about 1e3, float64 two in general. Where the product of ``z`` with itself has no
    Cholesky factor (a condition beyond 1e8) the first passes add a shift to its diagonal (Fukaya et al. 2020). Where that
    does not help either, columns are made orthogonal one after another, twice each, as exact as Householder's reflections.

    Parameters
    ----------
    z : (..., n, k) float32 or float64, ``n >= k``, finite. A column whose distance from the span of those before it is at
        most ``8 eps sqrt(k)`` of its length (6e-6 for 40 columns of float32) depends on them. Differentiable, any number of
        times.
    rank_guard : what to do with a dependent column. ``False`` refuses it. ``True`` puts in its place in ``Q`` a direction
        orthogonal to all other columns, the same at each call; the diagonal of ``R`` is zero there, ``z = Q R`` still holds,
        the column gets gradient zero, and nothing flows through the direction put in.

    Returns
    -------
    Q (..., n, k), R (..., k, k), of the type of ``z``.

    Raises
    ------
    ArgumentError : wrong shape or type, a value that is not finite, or a dependent column, which it names.

    Cost: ``4 n k^2`` flops in double a pass, as products of matrices; the gradient about as much. It reads two numbers back
    from the device a pass. Memory: ``n k``, and double copies of parts. Source: Yamamoto et al. 2015; for the gradient
    ``(Qbar + Q N) R^-T``, ``N`` being the lower triangle of ``R Rbar^T - Qbar^T Q`` copied onto the upper, Walter and Lehmann 2018.
    """
    if not isinstance(z, Tensor):
        raise ArgumentError(problem("z", "a torch tensor", type(z).__name__, "convert with torch.as_tensor"))
    q, r, _ = torch.ops.geospec.cholesky_qr(z, rank_guard)
    return q, r


def reference(z: Tensor, rank_guard: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """The op behind :func:`cholesky_qr` for independent columns: torch's Householder QR with its signs turned."""
    q, r = torch.linalg.qr(z)
    sign = torch.where(r.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0).to(z.dtype)
    return q * sign[..., None, :], r * sign[..., :, None], torch.ones_like(sign, dtype=torch.int64)


def _parts(z: Tensor) -> tuple[Tensor, ...]:
    """Rows of ``z`` in parts whose copies in double stay in a cache; all of it where nothing is to be copied."""
    return (z,) if z.dtype == torch.float64 else z.split(max(PART[z.device.type] * z.shape[-2] // z.numel(), 256), dim=-2)


def _gram(z: Tensor) -> Tensor:
    """``z^T z`` in double."""
    total = None
    for part in _parts(z):
        part = part.double()
        total = part.mT @ part if total is None else total + part.mT @ part
    assert total is not None
    return total


def _times(z: Tensor, square: Tensor) -> Tensor:
    """``z @ square`` in double, rounded to the type of ``z``."""
    parts = [(part.double() @ square).to(z.dtype) for part in _parts(z)]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-2)


def _tolerance(k: int, eps: float) -> float:
    """How near to the others, in its own lengths, a column counts as dependent."""
    return 8 * eps * math.sqrt(k)


def _by_passes(z: Tensor, eps: float) -> tuple[Tensor, Tensor] | None:
    """``Q`` and ``R`` (in double) by Cholesky; None where that does not converge or a column may be dependent.

    ``eps`` is that of the type asked for: ``z`` may be a copy in double of float32.
    """
    n, k = z.shape[-2:]
    # A pass leaves an error of eps_double times the square of this, the condition in the mean over all directions.
    enough = max(1.5, math.sqrt(eps / DOUBLE) / 16)
    identity = torch.eye(k, dtype=torch.float64, device=z.device)
    shift = 11 * k * (n * k + k * (k + 1)) * DOUBLE / 2
    q, r, lengths = z, identity, None
    for turn in range(PASSES):
        gram = _gram(q)
        length = gram.diagonal(dim1=-2, dim2=-1).sqrt()
        scaled = gram / (length[..., :, None] * length[..., None, :])
        lower, failed = torch.linalg.cholesky_ex(scaled)
        inverse = torch.linalg.solve_triangular(lower, identity, upper=False)
        condition = torch.linalg.matrix_norm(lower) * torch.linalg.matrix_norm(inverse) / k
        worst, bad = torch.stack([condition.amax(), failed.amax().double()]).tolist()
        if bad or not worst < 1 / DOUBLE:
            lower, failed = torch.linalg.cholesky_ex(scaled + shift * identity)
            if bool(failed.any()):
                return None
            inverse = torch.linalg.solve_triangular(lower, identity, upper=False)
            worst = math.inf
        triangle = lower.mT * length[..., None, :]
        # What the inverse adds to the error of division is its condition times eps_double: float32 never sees it.
        if eps > DOUBLE or worst < 100:
            q = _times(q, inverse.mT / length[..., :, None])
        else:
            q = torch.linalg.solve_triangular(triangle, q, upper=True, left=False)
        r, lengths = triangle if turn == 0 else triangle @ r, length if lengths is None else lengths
        if worst <= enough:
            independent = turn == 0 or bool((r.diagonal(dim1=-2, dim2=-1) > _tolerance(k, eps) * lengths).all())
            return (q, r) if independent else None
    return None


def _by_columns(z: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """``Q`` with zeros for dependent columns, ``R``, and which are independent, one column after another, in double."""
    block = z.double()
    scale = block.abs().amax(dim=-2, keepdim=True)
    if not bool(scale.isfinite().all()):
        raise ArgumentError(problem("z", "finite values", f"a value that is not, in column {_first(~scale[..., 0, :].isfinite())}"))
    scale = torch.where(scale > 0, scale, 1.0)
    block = block / scale
    q = torch.zeros_like(block)
    kept = torch.zeros(block.shape[:-2] + block.shape[-1:], dtype=torch.bool, device=z.device)
    for j in range(z.shape[-1]):
        column = block[..., j]
        rest = _apart(column / torch.linalg.vector_norm(column, dim=-1, keepdim=True).clamp_min(1e-300), q[..., :j])
        distance = torch.linalg.vector_norm(rest, dim=-1, keepdim=True)
        kept[..., j] = distance[..., 0] > _tolerance(z.shape[-1], eps)
        q[..., j] = torch.where(kept[..., j, None], rest / distance, 0.0)
    return q, (q.mT @ block).triu() * scale, kept


def _apart(vector: Tensor, q: Tensor) -> Tensor:
    """What is left of a vector without its part along orthonormal columns, taken away twice so that nothing stays of it."""
    for _ in range(2):
        vector = vector - (q @ (q.mT @ vector[..., None]))[..., 0]
    return vector


def _filled(q: Tensor, kept: Tensor) -> Tensor:
    """``q`` with directions orthogonal to all others in place of the columns that are not kept."""
    noise = torch.randn(q.shape[-2:], generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(q.device)
    q = q.clone()
    for j in range(q.shape[-1]):
        direction = noise[:, j].expand(q.shape[:-1])
        for _ in range(2):
            direction = torch.nn.functional.normalize(_apart(direction, q), dim=-1)
        q[..., j] = torch.where(kept[..., j, None], q[..., j], direction)
    return q


def _first(bad: Tensor) -> str:
    """Where the first true entry of ``(..., k)`` stands, in words."""
    *matrix, column = bad.nonzero()[0].tolist()
    return f"{column} of matrix {tuple(matrix)}" if matrix else f"{column}"


def _cholesky_qr(z: Tensor, rank_guard: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    if z.dtype not in (torch.float32, torch.float64):
        raise ArgumentError(problem("z", "float32 or float64", str(z.dtype)))
    if z.dim() < 2 or z.shape[-2] < z.shape[-1]:
        raise ArgumentError(problem("z", "shape (..., n, k) with n >= k", tuple(z.shape)))
    k = z.shape[-1]
    kept = torch.ones((*z.shape[:-2], k), dtype=torch.bool, device=z.device)
    if z.numel() == 0:
        return z.clone(memory_format=torch.contiguous_format), z.new_zeros((*z.shape[:-2], k, k)), kept.long()
    eps = torch.finfo(z.dtype).eps
    result = _by_passes(z.double() if z.numel() <= AT_ONCE[z.device.type] else z, eps)
    if result is not None:
        q, r = result
    else:
        q, r, kept = _by_columns(z, eps)
        if not bool(kept.all()):
            if not rank_guard:
                raise ArgumentError(
                    problem(
                        "z",
                        "independent columns",
                        f"column {_first(~kept)}, which is zero or lies in the span of those before it",
                        "leave it out, or pass rank_guard=True to have another direction in its place",
                    )
                )
            q = _filled(q, kept)
    return q.to(z.dtype).contiguous(), r.to(z.dtype).triu(), kept.long()


torch.library.impl("geospec::cholesky_qr", ("cpu", "cuda"), _cholesky_qr)


@torch.library.register_fake("geospec::cholesky_qr")
def _fake(z: Tensor, rank_guard: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    k = z.shape[-1]
    return z.new_empty(z.shape), z.new_empty(*z.shape[:-2], k, k), z.new_empty(*z.shape[:-2], k, dtype=torch.int64)


def _setup(ctx, inputs: tuple, output: tuple[Tensor, Tensor, Tensor]) -> None:
    ctx.save_for_backward(*output)
    ctx.mark_non_differentiable(output[2])
    ctx.set_materialize_grads(False)
    ctx.rank_guard = inputs[1]


def _backward(ctx, grad_q: Tensor | None, grad_r: Tensor | None, grad_kept: None) -> tuple[Tensor | None, None]:
    q, r, independent = ctx.saved_tensors
    if grad_q is None and grad_r is None:
        return None, None
    grad_q = torch.zeros_like(q) if grad_q is None else grad_q
    identity = torch.eye(q.shape[-1], dtype=r.dtype, device=r.device)
    if ctx.rank_guard:  # the QR of the columns that are kept, with zeros and an identity in place of the others
        column, row = independent[..., None, :] > 0, independent[..., :, None] > 0
        q, grad_q = torch.where(column, q, 0.0), torch.where(column, grad_q, 0.0)
        r = torch.where(row & column, r, identity)
        grad_r = None if grad_r is None else torch.where(row & column, grad_r, 0.0)
    m = -(grad_q.mT @ q)
    if grad_r is not None:
        m = m + r @ grad_r.mT
    m = m.tril() + m.tril(-1).mT
    inverse = torch.linalg.solve_triangular(r.double(), identity.double(), upper=True).to(r.dtype)
    return (grad_q + q @ m) @ inverse.mT, None


torch.library.register_autograd("geospec::cholesky_qr", _backward, setup_context=_setup)
