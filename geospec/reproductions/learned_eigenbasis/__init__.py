"""Learning eigenstructures of unstructured data manifolds (arXiv 2512.01103): the runs of this project's note on it."""

from ..registry import Reproduction, Run
from . import costs, digits, fits, meshes, operators
from .figure import draw

REPRODUCTION = Reproduction(
    title="Learned eigenbases",
    paper="Learning Eigenstructures of Unstructured Data Manifolds, arXiv 2512.01103",
    runs={
        "A1": Run(
            "coordinate MLP, exact covariance, on a deformed ellipsoid, no refinement",
            "loss / bound 1.0001; cos to the smoother's vectors 1.000, to cotangent .998",
            fits.exact_mlp,
        ),
        "A2": Run("the same from 300 fresh random probes a step", "1.0007; .997 / .996", fits.sampled_mlp),
        "A3": Run("transformer of width 96 and depth 4, exact covariance", "1.0008; 1.000 / .998", fits.exact_transformer),
        "A4": Run("exact eigenvectors of the smoother against cotangent modes of a blob", "", operators.blob_spectrum),
        "A5": Run(
            "principal components of probes: the paper's code's against ours",
            "code's cos .860/.650/.371, λ error .26 (k≤10), .13 (k≤50); ours must be better",
            operators.reference_probes,
        ),
        "A6": Run(
            "measure of random points on a sphere of density 1 + .9 z",
            "α=1: slope -.74 to -.84, corr .76 to .87; α=0: +.8, -.67",
            operators.density,
        ),
        "A7": Run(
            "clusters of the 1,797 digits: learned columns against PCA, Laplacian eigenmaps, Isomap",
            "NMI/ARI: learned .871/.768, heat-weighted .895/.809, PCA .727/.652, Laplacian eigenmaps .866/.751, Isomap .842/.790",
            digits.clusters,
            packages={"sklearn": "reproduce"},
        ),
        "A8": Run("interval with an explicit smoother: modes are the DCT-II", "λ_j = 2 - 2 cos(πj/n)", fits.interval),
        "A9": Run(
            "40 modes with the plain and the logarithmic loss",
            "plain .700, log .934; after Ritz .952, .968",
            fits.nested_losses,
        ),
        "loss": Run(
            "loss and gradient by captured energies against projection for each truncation",
            "10 times faster, 20 times smaller",
            costs.loss_and_gradient,
        ),
        "meshes": Run(
            "fits to samples of real meshes against cotangent modes", "the paper's table of cosines", meshes.cosine_table, needs_data=True
        ),
    },
    draw=draw,
)
