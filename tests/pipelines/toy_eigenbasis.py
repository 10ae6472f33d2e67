"""A network of one layer and lessons with a known answer, in place of the network that ships and its probes."""

import torch
from torch import nn

from geospec.training import mixed_seed


class Columns(nn.Module):
    """A linear layer on two features: ``columns`` is all that a training asks for."""

    def __init__(self, modes):
        super().__init__()
        self.config = {"modes": modes}
        self.layer = nn.Linear(2, modes)

    def columns(self, features, measure, offsets):
        assert offsets.tolist() == sorted(offsets.tolist())
        assert int(offsets[-1]) == len(features) == len(measure)
        return self.layer(features)


class Radii:
    """Columns ``c`` should be ``c r^2``."""

    def __init__(self, points):
        self.points = points
        radius = points.square().sum(dim=1, keepdim=True)
        self.features = torch.cat([radius, radius.square()], dim=1)
        self.measure = torch.full((len(points),), 1 / len(points))

    def loss(self, emitted):
        assert len(emitted) == len(self.features)
        wanted = self.features[:, :1] * torch.arange(1, emitted.shape[1] + 1)
        return (emitted - wanted).square().mean()

    def measures(self, emitted):
        return {"points": len(emitted)}


def network(plan):
    return Columns(plan.modes)


def lesson(plan, index):
    generator = torch.Generator().manual_seed(mixed_seed(plan.seed, index))
    return Radii(torch.randn(plan.points + index % 3, 3, generator=generator).clamp(-1, 1))
