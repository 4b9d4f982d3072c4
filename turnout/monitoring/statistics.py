"""Two-sample tests on counts: how likely a difference is when there is none, for the sizes that the samples have.

All take the counts of two samples in the same cells, so a sample may be as large as it likes, and may have been
counted in parts. All condition on what both samples have together, and so need no assumption about distributions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize, stats

from turnout.monitoring.dependence import Dependence

Counts = NDArray[np.int64]
GROUPS, BESIDE = 40, 0.02
"""Groups of the chi-square beside Anderson-Darling's statistic, and its part."""

_FEW = 500
"""Rows of the smaller sample up to which a small p-value is computed by resampling, and not from a limit."""

_COARSE = 100
_ROWS_A_CELL = 4
"""Cells that are enough for them: so many at most, and so many rows in each. The reference's own values mark the cells
off, which would show in cells of a row."""

_DOUBTFUL = (1e-6, 0.05)
"""Between these a p-value from a limit is worth a second look; below, no resampling would change what it says."""

_RESAMPLES = (2_000, 18_000)
_ENOUGH = 40
"""Samples as extreme as the one at hand after which no more are drawn.

Source: Besag and Clifford, Sequential Monte Carlo p-values (1991)."""


def ordered(
    reference: Counts, current: Counts, dependence: Dependence | None = None, blocks: float = 1, seed: int = 0
) -> float:
    """The p-value of a test that two samples have one distribution: Anderson-Darling's, with a chi-square beside it.

    Args:
        reference, current: counts in ordered cells; shape (cells,). Values in one cell are ties.
        dependence: of the rows; None when they are independent.
        blocks: in which the current rows come.

    Source: Scholz and Stephens, K-sample Anderson-Darling tests (1987), equation 7 for ties. Its weights for ever
    narrower differences fall with the square (Durbin and Knott, Components of Cramer-von Mises statistics, 1972), so
    that it hardly sees them; a little of the chi-square over some groups keeps these weights up. Both are quadratic
    forms of the counts, and so is their sum, whose limit is a weighted sum of chi-squares, here with the weights of the
    samples themselves. It finds shifts, changes of scale and of tails, rare events and narrow bumps at least as often
    as Kolmogorov-Smirnov (`benchmarks/drift_power.py`).
    """
    both = reference + current
    reference, current = reference[both > 0], current[both > 0]
    if len(reference) < 2 or not reference.sum() or not current.sum():
        return 1.0
    if min(reference.sum(), current.sum()) <= _FEW:
        reference, current = _coarser(reference, current)
    form, mean = _form(reference, current)
    difference = current - mean
    effect = dependence.effect(current.sum(), blocks, reference.sum()) if dependence else 1.0
    value = float(difference @ form @ difference) / effect
    weights = _eigenvalues(form, reference + current, int(current.sum()))
    found = weighted_chi_square_sf(value, weights)

    def measure(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.einsum("ij,ij->i", (drawn - mean) @ form, drawn - mean))

    found = _second_look(found, reference, current, measure, value, seed)
    return max(found, dependence.p_value(value / float(weights.sum()))) if dependence else found


def ordered_statistic(reference: Counts, current: Counts) -> float:
    """The statistic of `ordered`; 1 on average for independent rows of one distribution."""
    return float(ordered_statistics(reference + current, current[None])[0])


def ordered_statistics(both: Counts, currents: Counts) -> NDArray[np.float64]:
    """The statistic of `ordered` for parts of a table, each held against the rest of it; shape (parts,).

    Args:
        both: counts of the table; shape (cells,).
        currents: counts of each part; shape (parts, cells).
    """
    some = both > 0
    cells, currents = both[some].astype(float), currents[:, some]
    rows, m = float(cells.sum()), currents.sum(axis=1).astype(float)
    below, weight = _midranks(cells)
    apart = np.cumsum(currents, axis=1) - currents / 2 - below * (m / rows)[:, None]
    share = below / rows
    spread = share * (1 - share) - cells / rows / 4
    starts = _starts(cells, GROUPS)
    groups, current_groups = np.add.reduceat(cells, starts), np.add.reduceat(currents, starts, axis=1)
    expected = groups * (m / rows)[:, None]
    of_groups = ((current_groups - expected) ** 2 / groups).sum(axis=1) * rows**2 / (m * (rows - m))
    scale = _scale(rows, m)
    value = (weight * apart**2).sum(axis=1) * scale + BESIDE * of_groups
    mean = (weight * spread).sum() * m * (rows - m) / (rows - 1) * scale
    mean += BESIDE * (len(starts) - 1) * rows / (rows - 1)
    found: NDArray[np.float64] = value / np.maximum(mean, 1e-300)
    return found


def unordered(
    reference: Counts, current: Counts, dependence: Dependence | None = None, blocks: float = 1, seed: int = 0
) -> float:
    """The p-value of the chi-square test that two samples have one distribution over categories.

    Categories of which fewer than five rows are expected in a sample are taken together.

    Args:
        reference, current: counts by category; shape (categories,).
        dependence: of the rows; None when they are independent.
        blocks: in which the current rows come.

    Source: for rows that are not, Rao and Scott, The Analysis of Categorical Data from Complex Sample Surveys (1981).
    """
    table = _pooled(np.stack([reference, current]))
    if table.shape[1] < 2 or not table.sum(axis=1).all():
        return 1.0
    found = stats.chi2_contingency(table, correction=False)
    expected = found.expected_freq[1]
    weights = 1 / expected + 1 / found.expected_freq[0]

    def measure(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(((drawn - expected) ** 2 * weights).sum(axis=1))

    effect = dependence.effect(current.sum(), blocks, reference.sum()) if dependence else 1.0
    value = float(found.statistic) / effect
    p_value = float(stats.chi2.sf(value, found.dof))
    p_value = _second_look(p_value, table[0], table[1], measure, value, seed)
    return max(p_value, dependence.p_value(value / found.dof)) if dependence else p_value


def unordered_statistic(reference: Counts, current: Counts) -> float:
    """The statistic of `unordered`; 1 on average for independent rows of one distribution."""
    table = _pooled(np.stack([reference, current]))
    if table.shape[1] < 2 or not table.sum(axis=1).all():
        return 1.0
    found = stats.chi2_contingency(table, correction=False)
    return float(found.statistic / found.dof)


def share(reference: tuple[int, int], current: tuple[int, int]) -> float:
    """The p-value of Fisher's exact test that two shares are one.

    Args:
        reference, current: how many, of how many.
    """
    (some, rows), (more, others) = reference, current
    if not rows or not others or some + more in (0, rows + others):
        return 1.0
    if min(some + more, rows + others - some - more) > 10_000:  # where the exact sum takes long, and adds nothing
        return float(stats.chi2_contingency([[some, rows - some], [more, others - more]], correction=False).pvalue)
    return float(stats.fisher_exact(np.array([[some, rows - some], [more, others - more]])).pvalue)


def beyond(count: int, current: int, reference: int) -> float:
    """How likely at least so many values of one sample lie above the largest of another, of one distribution.

    Source: the largest `count` of both together are all in one sample, a draw without replacement.
    """
    if count > current:
        return 0.0
    taken = np.arange(count)
    return float(np.exp(np.log(current - taken).sum() - np.log(current + reference - taken).sum()))


def adjusted(p_values: Sequence[float]) -> list[float]:
    """P-values such that those up to a rate hold false discoveries among them at that rate.

    Source: Benjamini and Hochberg, Controlling the false discovery rate (1995).
    """
    return [float(value) for value in stats.false_discovery_control(p_values)] if len(p_values) else []


def weighted_chi_square_sf(value: float, weights: NDArray[np.float64]) -> float:
    """The probability that a weighted sum of chi-squares, of one degree of freedom each, is larger than a value.

    Args:
        weights: positive; shape (terms,).

    Source: the saddlepoint approximation of Kuonen (Biometrika 86, 1999), good to a few percent far into the tail.
    """
    mean = float(weights.sum())
    if value <= 0:
        return 1.0

    def slope(point: float) -> float:
        return float((weights / (1 - 2 * point * weights)).sum()) - value

    end = 1 / (2 * weights.max())
    low = -1 / (2 * weights.min())
    while slope(low) > 0:
        low *= 2
    point = optimize.brentq(slope, low, end * (1 - 1e-12))
    if abs(value - mean) < 1e-4 * mean or abs(point) < 1e-9:  # there the formula is 0 / 0
        return _near_the_mean(value, weights)
    logs = -0.5 * np.log1p(-2 * point * weights).sum()
    w = np.sign(point) * np.sqrt(2 * (point * value - logs))
    v = point * np.sqrt((2 * weights**2 / (1 - 2 * point * weights) ** 2).sum())
    return float(np.clip(stats.norm.sf(w + np.log(v / w) / w), 0.0, 1.0))


def _near_the_mean(value: float, weights: NDArray[np.float64]) -> float:
    """By the chi-square with the same mean and variance."""
    scale = (weights**2).sum() / weights.sum()
    return float(stats.chi2.sf(value / scale, weights.sum() / scale))


def _form(reference: Counts, current: Counts) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The statistic as a matrix, and the counts that are expected; it is their difference times the matrix squared."""
    both = (reference + current).astype(float)
    rows, m = both.sum(), float(current.sum())
    _, weight = _midranks(both)
    # The weighted sum of squares of what is below each cell's middle: C' W C, where C adds up all cells before and half
    # of the cell itself. Written out, since three products of such matrices take longer than all the rest.
    weight = weight * _scale(rows, m)
    later = weight.sum() - np.cumsum(weight)
    between = later + weight / 2
    cells = np.arange(len(both))
    form = between[np.maximum(cells[:, None], cells)]
    form[cells, cells] = later + weight / 4
    starts = _starts(both, GROUPS)
    sizes = np.diff([*starts, len(both)])
    same = np.repeat(np.arange(len(starts)), sizes)
    of_groups = rows**2 / (m * (rows - m)) / np.add.reduceat(both, starts)
    form += BESIDE * np.where(same[:, None] == same, of_groups[same], 0.0)
    return form, both * m / rows


def _midranks(both: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How many rows are below each cell's middle, and Anderson and Darling's weight of the cell."""
    rows = both.sum()
    below = np.cumsum(both) - both / 2
    spread = below * (rows - below) - rows * both / 4
    return below, np.where(spread > 0, both / np.where(spread > 0, spread, 1), 0)


def _scale(rows: float, m: Any) -> Any:
    """What makes Anderson and Darling's sum 1 on average."""
    return (rows - 1) * (1 / m + 1 / (rows - m))


def _starts(both: NDArray[Any], groups: int) -> NDArray[np.int64]:
    """The first cells of groups of cells with about as many rows each."""
    group = ((np.cumsum(both) - both / 2) / max(1, both.sum()) * groups).astype(int)
    return np.flatnonzero(np.diff(group, prepend=-1))


def _coarser(reference: Counts, current: Counts) -> tuple[Counts, Counts]:
    """Neighbouring cells together, by the rank of both samples' rows: small samples fill no more cells than these."""
    both = reference + current
    groups = int(np.clip(min(reference.sum(), current.sum()) // _ROWS_A_CELL, 10, _COARSE))
    starts = _starts(both, groups)
    return np.add.reduceat(reference, starts), np.add.reduceat(current, starts)


def _eigenvalues(form: NDArray[np.float64], both: Counts, m: int) -> NDArray[np.float64]:
    """The weights of the limit: of the form times the covariance of counts that are drawn without replacement."""
    rows = float(both.sum())
    share = both / rows
    factor = m * (rows - m) / (rows - 1)
    root = np.sqrt(share)
    # The covariance is factor * (diag(share) - share share'); its root is that of the projection 1 - root root'.
    middle = root[:, None] * form * root
    along = middle @ root
    middle -= np.outer(root, along) + np.outer(along, root) - (root @ along) * np.outer(root, root)
    values = linalg.eigvalsh(middle, overwrite_a=True, check_finite=False, driver="evd") * factor
    return np.asarray(values[values > 1e-10 * values.max()], float)


def _second_look(
    found: float,
    reference: Counts,
    current: Counts,
    measure: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    value: float,
    seed: int,
) -> float:
    """A p-value from a limit, or a larger one from samples of the same sizes drawn from both where it may be off.

    Args:
        measure: the statistic of samples; from shape (samples, cells) to (samples,).
        value: that of the current sample.

    Source: Phipson and Smyth, Permutation p-values should never be zero (2010).
    """
    both, size = reference + current, int(min(current.sum(), reference.sum()))
    if not _DOUBTFUL[0] < found < _DOUBTFUL[1] or size > _FEW:
        return found
    generator = np.random.default_rng(seed)
    method: Literal["count", "marginals"] = "count" if both.sum() < 10 * len(both) else "marginals"
    extreme = samples = 0
    for count in _RESAMPLES:
        drawn = generator.multivariate_hypergeometric(both, size, count, method=method)
        measured = measure((drawn if size == current.sum() else both - drawn).astype(float))
        extreme += int((measured >= value * (1 - 1e-9)).sum())
        samples += count
        if extreme >= _ENOUGH:
            break
    # The larger: cells that the reference marks off are not quite what a draw from both together would have.
    return max(found, (1 + extreme) / (1 + samples))


def _pooled(table: Counts, least: float = 5.0) -> Counts:
    """Take rare categories together, until each is expected often enough in both samples."""
    both = table.sum(axis=0)
    order = np.argsort(both, kind="stable")
    smaller = table.sum(axis=1).min() / max(1, both.sum())
    needed = least / smaller if smaller else np.inf
    rare = np.cumsum(both[order])
    few = both[order] < needed
    last = int(np.flatnonzero(~few)[0]) if (~few).any() else len(both)
    if last and rare[last - 1] < needed and last < len(both):  # together they are still too few
        last += 1
    kept = table[:, order[last:]]
    together = table[:, order[:last]].sum(axis=1, keepdims=True)
    return np.concatenate([kept, together], axis=1) if last else kept
