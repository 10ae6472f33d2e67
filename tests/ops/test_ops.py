"""Every op against its table row: see ``cases.py``."""

import pytest
import torch
from ops.cases import OPS, OpCase

DTYPES = [torch.float32, torch.float64]
CUDA = [pytest.param(case, marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")) for case in OPS]


def as_tuple(value):
    return value if isinstance(value, tuple) else (value,)


def assert_same(ours, theirs, dtype):
    for a, b in zip(as_tuple(ours), as_tuple(theirs), strict=True):
        assert a.dtype == b.dtype
        torch.testing.assert_close(a, b, rtol=1e-4 if dtype == torch.float32 else 1e-10, atol=1e-4 if dtype == torch.float32 else 1e-10)


def with_gradients(case: OpCase, arguments):
    wanted = [i in case.differentiable and a is not None for i, a in enumerate(arguments)]
    return tuple(a.detach().clone().requires_grad_() if w else a for a, w in zip(arguments, wanted, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", OPS, ids=repr)
def test_equals_twin(case, dtype):
    for seed in range(3):
        arguments = case.make(dtype, seed)
        ours = case.op(*arguments)
        assert any(bool(torch.count_nonzero(out)) for out in as_tuple(ours)), "a zero result proves nothing"
        assert_same(ours, case.reference(*arguments), dtype)


@pytest.mark.parametrize("case", [c for c in OPS if c.differentiable], ids=repr)
def test_gradient(case):
    def floats(*arguments):  # gradcheck subtracts outputs, which flags refuse
        return tuple(out for out in as_tuple(case.op(*arguments)) if out.is_floating_point())

    assert torch.autograd.gradcheck(floats, with_gradients(case, case.make(torch.float64, 1)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", OPS, ids=repr)
def test_opcheck(case, dtype):
    torch.library.opcheck(case.op.default, with_gradients(case, case.make(dtype, 2)))


@pytest.mark.parametrize("case", OPS, ids=repr)
def test_compiles_without_graph_break(case):
    arguments = case.make(torch.float64, 3)
    torch._dynamo.reset()  # every case compiles the same line anew, and a line may be compiled only so many times
    with torch._dynamo.config.patch(capture_dynamic_output_shape_ops=case.dynamic):
        compiled = torch.compile(lambda *a: case.op(*a), fullgraph=True, backend="aot_eager")
        assert_same(compiled(*arguments), case.op(*arguments), torch.float64)


@pytest.mark.parametrize("case", OPS, ids=repr)
def test_non_contiguous(case):
    arguments = case.make(torch.float64, 4)
    strided = tuple(torch.stack([a, a], dim=-1)[..., 0] if isinstance(a, torch.Tensor) else a for a in arguments)
    assert any(isinstance(a, torch.Tensor) and not a.is_contiguous() for a in strided)
    assert_same(case.op(*strided), case.op(*arguments), torch.float64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", OPS, ids=repr)
def test_empty(case, dtype):
    arguments = case.empty(dtype)
    assert_same(case.op(*arguments), case.reference(*arguments), dtype)


@pytest.mark.parametrize(("case", "refusal"), [(case, name) for case in OPS for name in case.refusals], ids=str)
def test_refuses(case, refusal):
    spoil, message = case.refusals[refusal]
    with pytest.raises((RuntimeError, ValueError), match=message):
        case.op(*spoil(case.make(torch.float64, 5)))


@pytest.mark.parametrize("case", OPS, ids=repr)
def test_repeats_bit_for_bit(case):
    arguments = case.make(torch.float32, 6)
    for first, second in zip(as_tuple(case.op(*arguments)), as_tuple(case.op(*arguments)), strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CUDA, ids=[c.name for c in OPS])
def test_cuda_equals_cpu(case, dtype):
    arguments = case.make(dtype, 7)
    on_device = case.op(*(a.cuda() if isinstance(a, torch.Tensor) else a for a in arguments))
    assert_same(tuple(out.cpu() for out in as_tuple(on_device)), case.op(*arguments), dtype)


def test_table_holds_every_op():
    from geospec.ops import backend_info

    # Their results have no twin to equal entry by entry: tests/test_factor.py holds them against dense matrices.
    apart = {"ldl_analyze", "ldl_factor", "ldl_solve"}
    assert {case.name for case in OPS} | apart == set(backend_info()["ops"])
