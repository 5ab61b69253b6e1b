"""Linear assignment: pair rows with columns at minimum total cost.

The shortest augmenting paths of Crouse ("On implementing 2D rectangular assignment algorithms", 2016), in the order of
scipy.optimize.linear_sum_assignment, so that ties and rounding give the same pairs. SciPy itself takes 0.6 s to import.
"""

from __future__ import annotations

from math import inf

import numpy as np

from camera_perception import core

INFEASIBLE = 1e6  # cost of pairs that must not match


def match(cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns that belong together at minimum total cost; costs of INFEASIBLE and above never match."""
    if core.kernels is not None:
        column_of = np.empty(len(cost), np.int64)
        core.kernels.associate(column_of, np.ones(cost.shape[1], bool), cost, cost, 0.0)
        rows = (column_of >= 0).nonzero()[0]
        return rows, column_of[rows]
    cost = np.minimum(cost, INFEASIBLE)
    feasible = cost < INFEASIBLE
    rows, columns = np.flatnonzero(feasible.any(axis=1)), np.flatnonzero(feasible.any(axis=0))
    found = unique_assignment(cost[rows[:, None], columns])
    if found is not None:
        rows, columns = rows[found[0]], columns[found[1]]
    else:  # the whole matrix, since the order of all rows and columns breaks ties
        rows, columns = linear_sum_assignment(cost)
    good = cost[rows, columns] < INFEASIBLE
    return rows[good], columns[good]


def linear_sum_assignment(cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, M) finite costs -> min(N, M) rows, ascending, and the column of each."""
    found = unique_assignment(cost)
    if found is not None:
        return found
    if cost.shape[0] <= cost.shape[1]:
        return np.arange(len(cost)), _assigned_columns(cost)
    rows = _assigned_columns(cost.T)
    order = np.argsort(rows)
    return rows[order], order


def unique_assignment(cost: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The same where it is obvious: every row (or column) has its minimum to itself, and there are no ties."""
    count, columns = cost.shape
    if count > columns:
        found = unique_assignment(cost.T)
        if found is None:
            return None
        order = np.argsort(found[1])
        return found[1][order], found[0][order]
    if not count:
        return np.zeros(0, int), np.zeros(0, int)
    rows, nearest = np.arange(count), cost.argmin(axis=1)
    if len(set(nearest.tolist())) < count or (cost == cost[rows, nearest][:, None]).sum() > count:
        return None
    return rows, nearest


def _assigned_columns(cost: np.ndarray) -> np.ndarray:
    """(N, M) with N <= M -> (N,) columns. Lists: for matrices of this size faster than arrays."""
    costs, count = cost.tolist(), cost.shape[1]
    u, v = [0.0] * len(costs), [0.0] * count  # dual variables of rows and columns
    row_of, column_of = [-1] * count, [-1] * len(costs)
    for start in range(len(costs)):
        distance, previous = [inf] * count, [-1] * count
        remaining, visited = list(range(count - 1, -1, -1)), []
        least, row = 0.0, start
        while row >= 0:  # extend the shortest path until it reaches a free column
            line, dual, index, lowest = costs[row], u[row], -1, inf
            for at, column in enumerate(remaining):
                reduced = least + line[column] - dual - v[column]
                if reduced < distance[column]:
                    distance[column], previous[column] = reduced, row
                else:
                    reduced = distance[column]
                if reduced < lowest or (reduced == lowest and row_of[column] < 0):
                    index, lowest = at, reduced
            least, column = lowest, remaining[index]
            remaining[index] = remaining[-1]
            remaining.pop()
            visited.append(column)
            row = row_of[column]
        u[start] += least
        for passed in visited[:-1]:
            u[row_of[passed]] += least - distance[passed]
            v[passed] -= least - distance[passed]
        while row != start:  # each column of the path goes to the row before it
            row = previous[column]
            row_of[column] = row
            column_of[row], column = column, column_of[row]
    return np.array(column_of, int)
