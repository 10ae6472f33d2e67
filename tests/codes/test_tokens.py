"""Numbers as tokens and bits: every length, and the order that the format's page tells."""

import numpy as np
import pytest

from geospec import ArgumentError
from geospec.codes import tokens


def round_trip(values):
    told, rest = tokens.to_tokens(values)
    told = np.frombuffer(told, np.uint8)
    assert len(rest) == tokens.rest_length(told)
    return tokens.from_tokens(told, rest)


def test_every_length_of_numbers():
    edges = np.unique([max(0, min((1 << n) + d, (1 << 32) - 1)) for n in range(33) for d in (-2, -1, 0, 1, 2)])
    random = np.random.default_rng(0).integers(0, 1 << 32, 500) >> np.random.default_rng(1).integers(0, 32, 500)
    for values in (edges, random, np.arange(3000), np.zeros(0, dtype=np.int64)):
        np.testing.assert_array_equal(round_trip(values.astype(np.int64)), values)


def test_the_bytes_are_those_of_the_documentation():
    """300 is 1 00 101100: token 128 + 4 (9 - 8) + 0, then six bits; 127 is itself; 128 is token 128 and five zeros."""
    told, rest = tokens.to_tokens(np.array([300, 127, 128]))
    assert list(told) == [132, 127, 128]
    assert list(rest) == [0b10110000, 0b00000000]


def test_zigzag_keeps_small_numbers_small():
    values = np.array([0, -1, 1, -2, 2, -(2**31), 2**31 - 1])
    np.testing.assert_array_equal(tokens.zigzag(values), [0, 1, 2, 3, 4, 2**32 - 1, 2**32 - 2])
    np.testing.assert_array_equal(tokens.unzigzag(tokens.zigzag(values)), values)


def test_a_token_that_stands_for_nothing():
    with pytest.raises(ArgumentError, match="at most 227, got 228"):
        tokens.rest_length(np.array([228], dtype=np.uint8))
