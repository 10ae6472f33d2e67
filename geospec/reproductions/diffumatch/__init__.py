"""DiffuMatch (arXiv 2507.23715): a diffusion prior over functional maps, by the acceptance of this project's note on it."""

from ..registry import Reproduction, Run
from . import denoising, masks, pairs, peer, published, real
from .figure import draw

REPRODUCTION = Reproduction(
    title="A diffusion prior over functional maps",
    paper="DiffuMatch: Category-Agnostic Spectral Diffusion Priors for Robust Non-rigid Shape Matching, arXiv 2507.23715",
    runs={
        "denoising": Run("the shipped prior against the Wiener filter of its own moments", "", denoising.denoising),
        "note": Run(
            "a small network trained on family A, on A and on the unseen B; error over that of the Wiener filter",
            "at sigma .1 / .3 / 1: A 1.000 / .973 / .995, B .995 / .984 / .995",
            denoising.note_training,
        ),
        "left-out": Run(
            "small priors, each trained without one family, on that family, at sigma .3",
            "at most .95 of the Wiener filter's error; at most 5 % above a prior of all",
            denoising.left_out,
        ),
        "masks": Run("maps from noisy descriptors under different masks", "", masks.noisy_descriptors),
        "pairs": Run(
            "features optimised on pairs of family B from positions alone, then ZoomOut",
            "at most half of the mask alone, at most pyFM's",
            pairs.from_scratch,
            packages=peer.PACKAGES,
        ),
        "ablation": Run("terms of the optimisation on generated pairs", published.ABLATION_CLAIM, pairs.ablation),
        "real-masks": Run("masks on real pairs", "", real.masks_on_real_pairs, packages=peer.PACKAGES, needs_data=True),
        "real": Run(
            "geospec.match on real pairs, its errors and its confidence", "", real.matching, packages=peer.PACKAGES, needs_data=True
        ),
    },
    draw=draw,
)
