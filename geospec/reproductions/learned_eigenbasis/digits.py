"""A7: scikit-learn's 1,797 handwritten digits, embedded in ten numbers and clustered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...bases import LearnedEigenbasis
from ...probes import HeatProbes
from ..record import Check, Row
from ..registry import Setting
from .oracles import normalized

DIMENSIONS, NEIGHBORS = 10, 10
#: Starts of k-means whose scores are averaged.
STARTS = 5


def clusters(setting: Setting) -> Iterator[Row]:
    """All embeddings in one run: k-means with ten clusters, normalised mutual information and adjusted Rand index."""
    from sklearn.datasets import load_digits
    from sklearn.decomposition import PCA
    from sklearn.manifold import Isomap, SpectralEmbedding

    data = load_digits()
    pixels = data.data / data.data.max()
    points = torch.from_numpy(pixels).float().to(setting.device)
    torch.manual_seed(setting.seed)
    basis = LearnedEigenbasis.fit(
        points,
        DIMENSIONS + 1,
        probes=HeatProbes(neighbors=NEIGHBORS),
        max_steps=1000,
        target=1.0,
        seed=setting.seed,
        progress=setting.progress,
    )
    columns = normalized(basis.modes, basis.measure)[:, 1:].cpu().double().numpy()
    assert basis.eigenvalues is not None
    decay = torch.exp(-basis.eigenvalues[1:] / basis.eigenvalues[-1]).cpu().double().numpy()
    embeddings = {
        "learned": columns,
        "heat-weighted": columns * decay,
        "modes": basis.modes[:, 1:].cpu().double().numpy(),
        "PCA": PCA(DIMENSIONS, random_state=setting.seed).fit_transform(pixels),
        "Laplacian eigenmaps": SpectralEmbedding(DIMENSIONS, n_neighbors=NEIGHBORS, random_state=setting.seed).fit_transform(pixels),
        "Isomap": Isomap(n_neighbors=NEIGHBORS, n_components=DIMENSIONS).fit_transform(pixels),
    }
    scores = {name: score(embedding, data.target, setting.seed) for name, embedding in embeddings.items()}
    nmi = scores["learned"][0]
    checks = (
        Check("NMI", nmi, "at least", 0.86),
        Check("NMI over PCA's", nmi - scores["PCA"][0], "at least", 0.10),
        Check("NMI over Laplacian eigenmaps'", nmi - scores["Laplacian eigenmaps"][0], "at least", 0.0),
        Check("NMI over Isomap's", nmi - scores["Isomap"][0], "at least", 0.0),
    )
    ours = "NMI/ARI: " + ", ".join(f"{name} {a:.3f}/{b:.3f}" for name, (a, b) in scores.items())
    numbers: dict[str, Any] = {name: {"nmi": a, "ari": b} for name, (a, b) in scores.items()}
    numbers["optimality_ratio"] = basis.optimality_ratio
    yield Row("", "", "", checks, ours, f"n = {len(points)}, d = {points.shape[1]}, {DIMENSIONS} dimensions", numbers=numbers)


def score(embedding: NDArray[np.float64], labels: NDArray, seed: int) -> tuple[float, float]:
    """Mean NMI and ARI of k-means over several starts."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    found = [KMeans(10, n_init=10, random_state=seed + i).fit_predict(embedding) for i in range(STARTS)]
    pairs = [(normalized_mutual_info_score(labels, guess), adjusted_rand_score(labels, guess)) for guess in found]
    nmi, ari = np.mean(pairs, axis=0)
    return float(nmi), float(ari)
