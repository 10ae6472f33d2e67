"""A regression small enough to train in a blink, for which every part of a batch can be made in any process."""

import torch
from torch import nn

from geospec.training import TrainingOptions, launch, mixed_seed, rank, train, world

BATCH = 8


def toy(dtype=torch.float64, dropout=0.0):
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(3, 8), nn.LayerNorm(8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 1)).to(dtype)


def item(step, number):
    generator = torch.Generator().manual_seed(mixed_seed(11, step, number))
    return torch.randn(3, generator=generator, dtype=torch.float64)


def batches(step, share, shares):
    """The same ``BATCH`` points a step, whatever the number of shares."""
    x = torch.stack([item(step, number) for number in range(share, BATCH, shares)])
    return x, torch.sin(x.sum(dim=1, keepdim=True))


def loss(module, batch):
    x, wanted = batch
    dtype = next(module.parameters()).dtype
    error = module(x.to(dtype)) - wanted.to(dtype)
    return {"loss": error.square().mean(), "largest": error.abs().max()}


def options(steps=20, **changes):
    return TrainingOptions(steps, **{"learning_rate": 1e-2, "checkpoint_every": 5, "validate_every": 10, **changes})


def weights(module):
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def trained_together(folder, given, progress=None, report=None):
    """For :func:`launch`: trains, and returns what a process can send."""
    module = toy()
    if rank() > 0:
        nn.init.zeros_(module[0].weight)  # the first process's weights are everybody's
    result = train(module, loss, batches, given, folder=folder, resume=True, progress=progress, report=report)
    return {"rank": rank(), "world": world(), "finished": result.finished, "step": result.step, "entry": result.entry, **weights(module)}


def fails_in_the_second(progress=None):
    if rank() == 1:
        raise ValueError("of the second process")
    torch.distributed.barrier()


def launched(folder, given):
    """For a process of its own: says its number at each step, and how it ended."""
    ended = launch(trained_together, folder, given, processes=2, progress=lambda *at: print(at, flush=True), report=None)
    print(ended["finished"], ended["step"], flush=True)
