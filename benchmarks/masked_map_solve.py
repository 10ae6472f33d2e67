"""Rows of functional maps with a mask. ``python -m benchmarks.masked_map_solve`` prints CPU time and memory on one thread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from geospec import ops

from .harness import Entry

SIZES = (30, 60, 100)


def systems(k: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(k, 2 * k, generator=generator, dtype=torch.float64)
    right = torch.randn(k, k, generator=generator, dtype=torch.float64)
    return features @ features.T, right, torch.rand(k, k, generator=generator, dtype=torch.float64)


def row_loop(gram: Tensor, right: Tensor, penalty: Tensor) -> Tensor:
    """An explicit inverse a row, as DiffuMatch and its forerunners do."""
    return torch.stack([torch.inverse(gram + torch.diag(p)) @ r for p, r in zip(penalty, right, strict=True)])


def batched_cholesky(gram: Tensor, right: Tensor, penalty: Tensor) -> Tensor:
    """What ``solve_functional_map`` did before the kernel."""
    factor, info = torch.linalg.cholesky_ex(gram + torch.diag_embed(penalty))
    assert not bool((info != 0).any())
    return torch.cholesky_solve(right[..., None], factor)[..., 0]


def repeated(solve: Callable[..., Tensor], inputs: tuple[Tensor, ...], times: int, gradient: bool) -> Callable[[], None]:
    leaves = tuple(x.clone().requires_grad_(gradient) for x in inputs)

    def run() -> None:
        for _ in range(times):
            answer = solve(*leaves)
            if gradient:
                torch.autograd.grad(answer.square().sum(), leaves)

    return run


def entries() -> list[Entry]:
    table = []
    for gradient, name in ((False, "solve"), (True, "solve and gradient")):
        for k in SIZES:
            inputs, times = systems(k), max(1, round(50 * (30 / k) ** 3))
            for peer, peer_name, limit in ((row_loop, "inverses in a loop", 1 / 5), (batched_cholesky, "batched Cholesky", 1 / 2)):
                ours, theirs = (repeated(solve, inputs, times, gradient) for solve in (ops.masked_map_solve, peer))
                table.append(Entry(name, f"k = {k}, {times} times", ours, theirs, peer_name, limit))
    return table


def allocated(solve: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> int:
    """Most bytes of tensors alive at once beyond the inputs; a kernel's own workspace is not among them."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as trace:
        solve(*inputs)
    held = most = 0
    for event in trace.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most


def cpu_seconds(run: Callable[[], None]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def print_times() -> None:
    """Medians of CPU seconds, the three ways in turn: what other work on the machine does to a wall clock is left out."""
    print("| what | modes | ours (ms) | batched Cholesky / ours | inverses in a loop / ours |\n| --- | --- | --- | --- | --- |")
    for gradient, name in ((False, "solve"), (True, "solve and gradient")):
        for k in SIZES:
            inputs, times = systems(k), max(1, round(50 * (30 / k) ** 3))
            runs = [repeated(solve, inputs, times, gradient) for solve in (ops.masked_map_solve, batched_cholesky, row_loop)]
            rounds = [[cpu_seconds(run) for run in runs] for _ in range(10)][1:]
            ours, batched, loop = (statistics.median(column) for column in zip(*rounds, strict=True))
            print(f"| {name} | {k} | {1e3 * ours / times:.3f} | {batched / ours:.1f} | {loop / ours:.1f} |", flush=True)


def print_memory() -> None:
    print("\n| modes | ours, tensors (KiB) | workspace of a thread (KiB) | batched Cholesky (KiB) | ratio |")
    print("| --- | --- | --- | --- | --- |")
    for k in SIZES:
        inputs = systems(k)
        padded = -(-k // 4) * 4
        workspace = 8 * (padded * padded + 8 * padded * (padded + 4) // 2 + 16 * padded)
        ours, theirs = allocated(ops.masked_map_solve, inputs), allocated(batched_cholesky, inputs)
        cells = (ours / 1024, workspace / 1024, theirs / 1024, theirs / (ours + workspace))
        print("| {} | {:.0f} | {:.0f} | {:.0f} | {:.1f} |".format(k, *cells))


def main() -> None:
    torch.set_num_threads(1)
    print_times()
    print_memory()


if __name__ == "__main__":
    main()
