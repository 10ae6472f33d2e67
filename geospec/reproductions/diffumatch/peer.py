"""The baseline that the project is held against: pyFM as its documentation uses it."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any

import torch
from torch import Tensor

from ...shapes import Mesh

#: Modes of the final map and of the first one, and descriptors, of the baseline.
K, K_FIT, N_DESCRIPTORS = 100, 20, 100
PACKAGES = {"pyFM": "bench"}


def wks_zoomout(source: Mesh, target: Mesh, stage: Callable[[str, Callable[[], Any]], Any] = lambda name, work: work()) -> Tensor:
    """``target_to_source (n_t,)`` by pyFM: spectra, WKS, fit, ZoomOut with one mode a step; ``stage`` may time its parts."""
    from pyFM.functional import FunctionalMapping
    from pyFM.mesh import TriMesh

    with redirect_stdout(io.StringIO()):
        meshes = [TriMesh(s.vertices.numpy(), s.faces.numpy(), area_normalize=True, center=True) for s in (source, target)]
        stage("eigenbases", lambda: [mesh.process(k=K) for mesh in meshes])
        model = FunctionalMapping(*meshes)
        stage("descriptors", lambda: model.preprocess(n_descr=N_DESCRIPTORS, descr_type="WKS", k_process=K, k_descr=K))
        stage("first map", lambda: model.fit(K=(K_FIT, K_FIT)))
        stage("ZoomOut", lambda: model.zoomout_refine(nit=K - K_FIT, step=1))
        return torch.as_tensor(stage("point map", model.get_p2p)).long()
