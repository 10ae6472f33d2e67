"""Whole numbers as bytes that an entropy coder likes: a token each, and the bits that no coder can shorten."""

from __future__ import annotations

import numpy as np

from ..errors import ArgumentError, problem

#: Numbers below this are their own token.
DIRECT = 128
#: The largest token: that of numbers of 32 bits.
LAST = DIRECT + 4 * (32 - 8) + 3


def zigzag(values: np.ndarray) -> np.ndarray:
    """Signed numbers as unsigned ones, small where they are small: 0, -1, 1, -2, 2 become 0, 1, 2, 3, 4."""
    return np.where(values < 0, -2 * values - 1, 2 * values)


def unzigzag(values: np.ndarray) -> np.ndarray:
    """The inverse of :func:`zigzag`."""
    return (values >> 1) ^ -(values & 1)


def to_tokens(values: np.ndarray) -> tuple[bytes, bytes]:
    """Numbers in [0, 2^32) as one byte each, and what the bytes leave untold.

    Below 128 the byte is the number. Above, it tells the number's length in bits and the two bits after the first; the others follow in the
    second result, highest first, one number after the other without gaps.
    """
    length = np.frexp(np.maximum(values, 1).astype(np.float64))[1].astype(np.int64)
    large = values >= DIRECT
    rest = np.where(large, length - 3, 0)
    token = np.where(large, DIRECT + 4 * (length - 8) + ((values >> rest) & 3), values)
    owner, place = _bits(rest)
    return token.astype(np.uint8).tobytes(), np.packbits(((values[owner] >> place) & 1).astype(np.uint8)).tobytes()


def rest_length(tokens: np.ndarray) -> int:
    """Bytes of the second result of :func:`to_tokens`, told from the first.

    Raises
    ------
    ArgumentError : a token that stands for nothing.
    """
    if tokens.size and int(tokens.max()) > LAST:
        raise ArgumentError(problem("token", f"at most {LAST}", int(tokens.max())))
    return (int(_rest(tokens[tokens >= DIRECT]).sum()) + 7) // 8


def from_tokens(tokens: np.ndarray, rest: bytes) -> np.ndarray:
    """The numbers of :func:`to_tokens` as int64, of tokens that :func:`rest_length` has taken."""
    values = tokens.astype(np.int64)
    large = np.flatnonzero(tokens >= DIRECT)  # mostly few
    count = _rest(tokens[large])
    told = (4 + (values[large] & 3)) << count
    owner, place = _bits(count)
    bits = np.unpackbits(np.frombuffer(rest, np.uint8), count=len(owner)).astype(np.int64)
    np.add.at(told, owner, bits << place)
    values[large] = told
    return values


def _rest(tokens: np.ndarray) -> np.ndarray:
    """Bits that tokens of large numbers leave untold."""
    return (tokens.astype(np.int64) - DIRECT) // 4 + 5


def _bits(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each bit of numbers of ``counts`` bits, highest first: the number it belongs to, and its place in it."""
    owner = np.repeat(np.arange(len(counts)), counts)
    begin = np.cumsum(counts) - counts
    return owner, counts[owner] - 1 - (np.arange(len(owner)) - begin[owner])
