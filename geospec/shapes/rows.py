"""Which rows of an array are equal."""

from __future__ import annotations

import numpy as np


def unique_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Group exactly equal rows of ``(n, d)``: ``(first (u,), group (n,))``.

    ``first`` is the first row of each group, ascending, and ``group`` the group of each row, so that
    ``rows[first][group]`` is ``rows`` again. Cost: a sort.
    """
    if len(rows) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    order = np.lexsort(rows.T)  # stable: within a group the smallest index leads
    new = np.ones(len(rows), bool)
    new[1:] = (rows[order[1:]] != rows[order[:-1]]).any(axis=1)
    leader = order[new]
    rank = np.empty(len(leader), np.int64)
    rank[np.argsort(leader)] = np.arange(len(leader))
    group = np.empty(len(rows), np.int64)
    group[order] = rank[np.cumsum(new) - 1]
    return np.sort(leader), group
