"""The fused layer by interpolation against the direct sum in double; what every op owes stands in ``cases.py``."""

import pytest
import torch
from torch import Tensor

from geospec import ops
from geospec.errors import ArgumentError
from geospec.ops.sphere_interpolation import LARGEST, pays


def directions(n: int) -> Tensor:
    """Random directions, the poles, some 1e-3, 1e-6 and 1e-160 from them, and both sides of the date line."""
    generator = torch.Generator().manual_seed(3)
    special = torch.tensor([[0, 0, 1], [0, 0, -1], [-1, 0, 0], [-1, -0.0, 0], [-1, 1e-9, 0.1], [-1, -1e-9, 0.1]], dtype=torch.float64)
    near = torch.randn(12, 3, generator=generator, dtype=torch.float64)
    near[:, :2] *= torch.tensor([1e-3, 1e-6, 1e-160]).double().repeat(4)[:, None]
    xyz = torch.cat([special, near, torch.randn(n - 18, 3, generator=generator, dtype=torch.float64)])
    return torch.nn.functional.normalize(xyz, dim=1)


def layer(dtype: torch.dtype, degree: int, h: int, n: int = 400) -> tuple[Tensor, Tensor, Tensor]:
    """Directions and weights that require gradients, and a gradient from above."""
    generator = torch.Generator().manual_seed(degree)
    weight = torch.randn(h, (degree + 1) ** 2, generator=generator, dtype=torch.float64)
    above = torch.randn(n, h, generator=generator, dtype=torch.float64).to(dtype)
    return directions(n).to(dtype).requires_grad_(), weight.to(dtype).requires_grad_(), above


def in_double(xyz: Tensor, weight: Tensor, above: Tensor, **options) -> list[Tensor]:
    """Value and gradients of the direct sum at the same vectors."""
    xyz, weight, above = (a.detach().double() for a in (xyz, weight, above))
    inputs = xyz.requires_grad_(), weight.requires_grad_()
    out = ops.spherical_harmonics_linear(*inputs, method="direct", **options)
    return [out.detach(), *torch.autograd.grad(out, inputs, above)]


def assert_near(ours: Tensor, wanted: Tensor, bound: float) -> None:
    assert (ours.double() - wanted).abs().max() <= bound * wanted.abs().max()


@pytest.mark.parametrize("convention", ["orthonormal", "satclip"])
@pytest.mark.parametrize(("degree", "h"), [(0, 1), (1, 3), (2, 16), (17, 21), (40, 64)])
@pytest.mark.parametrize(("dtype", "bounds"), [(torch.float32, (1.2e-6, 1e-6, 2e-6)), (torch.float64, (2e-13, 1e-12, 1e-12))])
def test_equals_the_direct_sum(dtype, bounds, degree, h, convention):
    xyz, weight, above = layer(dtype, degree, h)
    options = {"normalize": True, "convention": convention}
    out = ops.spherical_harmonics_linear(xyz, weight, method="interpolated", **options)
    ours = [out.detach(), *torch.autograd.grad(out, (xyz, weight), above)]
    for a, b, bound in zip(ours, in_double(xyz, weight, above, **options), bounds, strict=True):
        assert a.dtype == dtype
        assert_near(a, b, bound)


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-6), (torch.float64, 2e-13)])
def test_high_degree(dtype, bound):
    xyz, weight, _ = layer(dtype, 128, 2)
    out = ops.spherical_harmonics_linear(xyz, weight, method="interpolated", normalize=True)
    wanted = ops.spherical_harmonics_linear(xyz.detach().double(), weight.detach().double(), method="direct", normalize=True)
    assert_near(out, wanted, bound)


@pytest.mark.parametrize("normalize", [True, False])
def test_gradients_twice(normalize):
    xyz, weight, above = layer(torch.float64, 6, 3, 40)
    if normalize:
        xyz = (xyz.detach() * torch.linspace(0.5, 3, 40)[:, None]).requires_grad_()
    above.requires_grad_()

    def second(method: str) -> tuple[Tensor, ...]:
        out = ops.spherical_harmonics_linear(xyz, weight, method=method, normalize=normalize)
        first = torch.autograd.grad(out, (xyz, weight), above, create_graph=True)
        return torch.autograd.grad(sum((g**2).sum() for g in first), (xyz, weight, above))

    for a, b in zip(second("interpolated"), second("direct"), strict=True):
        assert_near(a, b, 1e-11)


def test_gradient_across_a_ray_is_all_there_is():
    xyz, weight, above = layer(torch.float64, 12, 4)
    (gradient,) = torch.autograd.grad(ops.spherical_harmonics_linear(xyz, weight, method="interpolated"), xyz, above)
    assert ((gradient * xyz).sum(dim=1).abs() <= 1e-13 * gradient.norm(dim=1).max()).all()


def test_bias_and_leading_dimensions():
    xyz, weight, _ = layer(torch.float64, 5, 3, 24)
    bias = torch.arange(3.0, dtype=torch.float64, requires_grad=True)
    ours, direct = (ops.spherical_harmonics_linear(xyz.reshape(2, 3, 4, 3), weight, bias, method=m) for m in ("interpolated", "direct"))
    assert ours.shape == (2, 3, 4, 3)
    torch.testing.assert_close(ours, direct, rtol=1e-11, atol=1e-11)
    assert torch.equal(torch.autograd.grad(ours.sum(), bias)[0], torch.full((3,), 24.0, dtype=torch.float64))


def test_sums_of_many_points_keep_their_digits():
    """Two hundred thousand points in one cell, all adding to one sum of float32."""
    xyz = torch.tensor([[0.0, 0.6, 0.8]]).expand(200_000, 3)
    weight = torch.zeros(1, 100, requires_grad=True)
    out = ops.spherical_harmonics_linear(xyz, weight, method="interpolated", normalize=True)
    (gradient,) = torch.autograd.grad(out, weight, torch.full((200_000, 1), 0.1))
    wanted = 200_000 * 0.1 * ops.spherical_harmonics(xyz[:1].double(), 9, normalize=True)
    assert_near(gradient, wanted, 1.5e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_number_of_threads_gives_the_same_bits(dtype):
    n = 140_000 if dtype == torch.float32 else 70_000  # more than one chunk
    xyz, weight, above = layer(dtype, 9, 5, n)
    results = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            out = ops.spherical_harmonics_linear(xyz, weight, method="interpolated", normalize=True)
            results.append([out, *torch.autograd.grad(out, (xyz, weight), above)])
    finally:
        torch.set_num_threads(before)
    for one, two in zip(*results, strict=True):
        assert torch.equal(one, two)


def test_auto_goes_by_sizes():
    few, many = torch.zeros(100, 3), torch.zeros(200_000, 3)
    assert pays(many, 20, 64)
    assert not pays(few, 20, 64)
    assert not pays(many, 2, 64)
    assert not pays(many, 20, 1)
    assert not pays(many, LARGEST + 1, 64)
    xyz, weight, _ = layer(torch.float32, 20, 64, 20_000)
    ours, theirs = (ops.spherical_harmonics_linear(xyz, weight, normalize=True, method=m) for m in ("auto", "interpolated"))
    assert torch.equal(ours, theirs)


def test_compiles_without_graph_break():
    xyz, weight, _ = layer(torch.float64, 5, 3, 24)
    torch._dynamo.reset()
    compiled = torch.compile(lambda x, w: ops.spherical_harmonics_linear(x, w, method="interpolated"), fullgraph=True, backend="aot_eager")
    plain = ops.spherical_harmonics_linear(xyz, weight, method="interpolated")
    torch.testing.assert_close(compiled(xyz, weight), plain)


def test_empty():
    weight = torch.zeros(2, 9, requires_grad=True)
    out = ops.spherical_harmonics_linear(torch.zeros(0, 3), weight, method="interpolated")
    assert out.shape == (0, 2)
    assert torch.equal(torch.autograd.grad(out.sum(), weight)[0], torch.zeros(2, 9))


def test_refusals():
    xyz = torch.tensor([[0.0, 0.0, 1.0]])
    with pytest.raises(ArgumentError, match="method: wanted"):
        ops.spherical_harmonics_linear(xyz, torch.zeros(2, 9), method="grid")
    with pytest.raises(ArgumentError, match=f"weight: wanted degree at most {LARGEST} for the method 'interpolated', got 129"):
        ops.spherical_harmonics_linear(xyz.double(), torch.zeros(1, 130**2).double(), method="interpolated")
    with pytest.raises(RuntimeError, match="xyz: wanted vectors of length 1, got length 2 in row 0"):
        ops.spherical_harmonics_linear(2 * xyz, torch.zeros(2, 9), method="interpolated")
    with pytest.raises(RuntimeError, match="xyz: wanted finite vectors other than zero"):
        ops.spherical_harmonics_linear(0 * xyz, torch.zeros(2, 9), method="interpolated", normalize=True)


def test_a_third_derivative_in_the_weight_is_whole():
    xyz, weight, _ = layer(torch.float64, 4, 3, 40)

    def third(method: str) -> Tensor:
        value = ops.spherical_harmonics_linear(xyz, weight, method=method)
        (one,) = torch.autograd.grad((value**4).sum(), weight, create_graph=True)
        (two,) = torch.autograd.grad((one**2).sum(), weight, create_graph=True)
        return torch.autograd.grad((two**2).sum(), weight)[0]

    assert_near(third("interpolated"), third("direct"), 1e-11)


def test_no_outputs():
    xyz, weight, above = layer(torch.float32, 4, 0, 40)
    out = ops.spherical_harmonics_linear(xyz, weight, method="interpolated")
    by_xyz, by_weight = torch.autograd.grad(out, (xyz, weight), above)
    assert out.shape == (40, 0)
    assert by_weight.shape == weight.shape
    assert not by_xyz.any()


def test_lower_precision_around_it_changes_nothing():
    xyz, weight, above = layer(torch.float32, 9, 4)
    plain = ops.spherical_harmonics_linear(xyz, weight, method="interpolated")
    with torch.autocast("cpu", torch.bfloat16):
        out = ops.spherical_harmonics_linear(xyz, weight, method="interpolated")
        gradient = torch.autograd.grad(out, weight, above)[0]
    assert torch.equal(out, plain)
    assert torch.equal(gradient, torch.autograd.grad(plain, weight, above)[0])


@pytest.mark.parametrize("method", ["direct", "interpolated"])
def test_tables_made_without_gradients_serve_those_with_them(method):
    degree = {"direct": 11, "interpolated": 13}[method]  # tables that no other test has made
    xyz, weight, above = layer(torch.float32, degree, 3)
    with torch.inference_mode():
        ops.spherical_harmonics_linear(xyz.detach(), weight.detach(), method=method)
    out = ops.spherical_harmonics_linear(xyz, weight, method=method)
    assert all(bool(g.any()) for g in torch.autograd.grad(out, (xyz, weight), above))
