"""Sparse tensors to SciPy and back: what is shared is the same memory, what is not stays as it was."""

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
import torch

from geospec import ArgumentError, laplacian
from geospec.laplacians import from_scipy, to_scipy
from geospec.laplacians.sparse import csr_from_triplets
from geospec.testing import torus


def test_to_scipy_shares_memory():
    matrix = laplacian(torus(8, 6), "cotangent").stiffness
    shared = to_scipy(matrix)
    np.testing.assert_array_equal(shared.toarray(), matrix.to_dense().numpy())
    pairs = zip((matrix.values(), matrix.col_indices(), matrix.crow_indices()), (shared.data, shared.indices, shared.indptr), strict=True)
    assert all(np.shares_memory(tensor.numpy(), array) for tensor, array in pairs)
    shared.data[0] = 123
    assert matrix.values()[0] == 123
    signal = np.random.default_rng(0).standard_normal((48, 2))
    np.testing.assert_allclose(shared @ signal, (matrix @ torch.from_numpy(signal)).numpy(), atol=1e-12)
    assert np.isfinite(scipy.sparse.linalg.spsolve((shared + scipy.sparse.eye(48)).tocsc(), signal)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
def test_round_trip(dtype):
    dense = torch.randint(-3, 3, (5, 7)).to(dtype)
    back = from_scipy(to_scipy(dense.to_sparse_csr()))
    assert back.dtype == dtype
    assert torch.equal(back.to_dense(), dense)


def test_from_scipy_shares_what_it_can():
    made = scipy.sparse.random_array((6, 9), density=0.3, rng=np.random.default_rng(0), format="csr")
    narrow = scipy.sparse.csr_matrix(made)
    tensor = from_scipy(narrow)
    assert narrow.indices.dtype == np.int32
    assert np.shares_memory(tensor.values().numpy(), narrow.data)
    assert tensor.col_indices().dtype == tensor.crow_indices().dtype == torch.int64
    wide = to_scipy(tensor)
    again = from_scipy(wide)
    assert np.shares_memory(again.col_indices().numpy(), wide.indices)
    assert np.shares_memory(again.crow_indices().numpy(), wide.indptr)
    np.testing.assert_array_equal(again.to_dense().numpy(), made.toarray())


def test_from_scipy_converts_without_touching_the_original():
    """Columns out of order, one twice; columns first; and memory that must not be written to."""
    loose = scipy.sparse.csr_matrix((np.array([1.0, 2, 3]), np.array([2, 0, 2]), np.array([0, 3, 3])), shape=(2, 3))
    assert from_scipy(loose).to_dense().tolist() == [[2, 0, 4], [0, 0, 0]]
    assert loose.indices.tolist() == [2, 0, 2]
    assert from_scipy(loose.tocsc()).to_dense().tolist() == [[2, 0, 4], [0, 0, 0]]
    locked = scipy.sparse.csr_matrix(np.eye(2))
    locked.data.flags.writeable = False
    tensor = from_scipy(locked)
    tensor.values()[0] = 5
    assert locked.data[0] == 1


def test_triplets_add_up():
    entries = torch.tensor([[1, 2], [0, 0], [1, 2], [1, 1]])
    values = torch.tensor([1.0, 2, 3, 4], dtype=torch.float64, requires_grad=True)
    matrix = csr_from_triplets(entries[:, 0], entries[:, 1], values, (3, 4))
    assert matrix.to_dense().tolist() == [[2, 0, 0, 0], [0, 4, 4, 0], [0, 0, 0, 0]]
    assert matrix.values().numel() == 3
    matrix.values().pow(2).sum().backward()
    assert values.grad.tolist() == [8, 4, 8, 8]


def test_refusals():
    for wrong in (torch.eye(3), torch.eye(3).to_sparse_csc(), np.eye(3)):
        with pytest.raises(ArgumentError, match="matrix: wanted a sparse CSR tensor"):
            to_scipy(wrong)
    with pytest.raises(ArgumentError, match="matrix: wanted a SciPy sparse matrix, got ndarray"):
        from_scipy(np.eye(3))
