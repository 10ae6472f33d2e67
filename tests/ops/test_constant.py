"""What the compiler takes as constant."""

import torch

from geospec.ops.constant import constant_result


def test_it_marks_as_torch_does():
    def ours(): ...

    def theirs(): ...

    assert constant_result(ours) is ours
    assert vars(ours) == vars(torch.compiler.assume_constant_result(theirs)) != {}
