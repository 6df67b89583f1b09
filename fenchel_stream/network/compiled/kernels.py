"""Compiled loops for one block of variables and one row.

A row of a small network needs a few thousand multiplications. In NumPy it also needs some hundred
calls, which take longer than the multiplications. The compiled loops need no calls. `solvers` and
`experts` explain the formulas, and the tests compare the results of both.
"""

from __future__ import annotations

from math import exp, expm1, log, log1p, sqrt, tanh

import numpy as np

from fenchel_stream.network.arrays import Array
from fenchel_stream.network.compiled.jit import compiled

ROUNDING = 1e-12
"""A deviation below this part of the mean is rounding error: the column counts as constant."""


@compiled
def _phi(kind: int, u: float) -> float:
    """Return ``phi(u)`` of the activation with code `kind`."""
    if kind == 0:
        return u
    if kind == 1:
        return max(u, 0.0)
    if kind == 2:
        return u if u > 0 else 0.01 * u
    if kind == 3:
        return tanh(u)
    if kind == 4:
        return 0.5 + 0.5 * tanh(0.5 * u)
    if kind == 5:
        return max(u, 0.0) + log1p(exp(-abs(u)))
    return u if u > 0 else expm1(u)


@compiled
def _largest(x: Array) -> Array:
    top = x[0]
    for i in range(1, x.shape[0]):
        top = max(top, x[i])
    return top


@compiled
def _apply(w: Array, x: Array, u: Array) -> None:
    """Set ``u = W x``."""
    for i in range(w.shape[0]):
        total = 0.0
        for j in range(w.shape[1]):
            total += w[i, j] * x[j]
        u[i] = total


@compiled
def _loss(kind: int, y: Array, u: Array) -> float:
    total = 0.0
    if kind == 0:
        for i in range(u.shape[0]):
            total += 0.5 * (u[i] - y[i]) ** 2
        return total
    top = _largest(u)
    expected = 0.0
    for i in range(u.shape[0]):
        total += exp(u[i] - top)
        expected += y[i] * (u[i] - top)
    return log(total) - expected


@compiled
def _loss_gradient(kind: int, y: Array, u: Array, gradient: Array) -> None:
    if kind == 0:
        for i in range(u.shape[0]):
            gradient[i] = u[i] - y[i]
        return
    top, total = _largest(u), 0.0
    for i in range(u.shape[0]):
        gradient[i] = exp(u[i] - top)
        total += gradient[i]
    for i in range(u.shape[0]):
        gradient[i] = gradient[i] / total - y[i]


def softmax_gradient(y: Array, u: Array) -> Array:
    """Return ``softmax(u) - y`` of stacks of rows; a stack of one in `y` counts for all of `u`.

    The sums are compiled, because NumPy takes several times as long for short rows. The
    exponentials are NumPy's, because compiled loops take ten times as long for many of them.
    """
    gradient = np.empty(u.shape, u.dtype)
    _below_largest(u, gradient)
    np.exp(gradient, out=gradient)
    _normalised_less(y, gradient)
    return gradient


@compiled
def _below_largest(u: Array, shifted: Array) -> None:
    for k in range(u.shape[0]):
        for i in range(u.shape[1]):
            top = _largest(u[k, i])
            for j in range(u.shape[2]):
                shifted[k, i, j] = u[k, i, j] - top


@compiled
def _normalised_less(y: Array, x: Array) -> None:
    """Divide each row of `x` by its sum, and subtract `y`."""
    for k in range(x.shape[0]):
        for i in range(x.shape[1]):
            scale = 1.0 / x[k, i].sum()
            for j in range(x.shape[2]):
                x[k, i, j] = scale * x[k, i, j] - y[k % y.shape[0], i % y.shape[1], j]


@compiled
def mirrored(lower: Array) -> Array:
    """Return the symmetric matrix of which `lower` holds the lower triangle."""
    whole = np.empty(lower.shape, lower.dtype)
    for i in range(lower.shape[0]):
        for j in range(i + 1):
            whole[i, j] = whole[j, i] = lower[i, j]
    return whole


@compiled
def _term_gradient(
    activation: int, loss: int, lam: float, target: Array, u: Array, gradient: Array
) -> None:
    """Write the gradient of ``lam B(target, u)``, or of the output loss where `lam` is 0."""
    if lam == 0.0:
        _loss_gradient(loss, target, u, gradient)
        return
    for i in range(u.shape[0]):
        gradient[i] = lam * (_phi(activation, u[i]) - target[i])


@compiled
def _squared_norm_bound(w: Array) -> float:
    """See `arrays.squared_norm_bound`."""
    rows, columns = w.shape
    wide = rows <= columns
    size = rows if wide else columns
    gram = np.zeros((size, size))
    if wide:
        for i in range(size):
            for j in range(size):
                for k in range(columns):
                    gram[i, j] += w[i, k] * w[j, k]
    else:
        for k in range(rows):
            for i in range(size):
                for j in range(size):
                    gram[i, j] += w[k, i] * w[k, j]
    square = 0.0
    for i in range(size):
        for j in range(size):
            total = 0.0
            for k in range(size):
                total += gram[i, k] * gram[j, k]
            square += total * total
    return sqrt(sqrt(square))


@compiled
def w_step(
    activation: int,
    loss: int,
    lam: float,
    curvature: float,
    gamma: Array,
    rho: float,
    in_samples: bool,
    iterations: int,
    target: Array,
    a0: Array,
    a: Array,
    w0: Array,
    w: Array,
    shares: Array,
) -> tuple[Array, Array, Array]:
    """Return new weights, their average by `shares`, and the average's outputs.

    The step is that of `solvers.w_update` in the dual form. Weights are stacks (candidates x
    outputs x inputs), and `gamma` has one number for each candidate. With `in_samples`, gamma is
    multiplied by the squared length of `a0`, the layer's input before the first step; otherwise it
    is absolute.
    """
    units, inputs = w.shape[1], w.shape[2]
    new, mean = np.empty(w.shape, w.dtype), np.zeros((units, inputs), w.dtype)
    u, base = np.empty(units, w.dtype), np.empty(units, w.dtype)
    gradient, q = np.empty(units, w.dtype), np.empty(units, w.dtype)
    gram, sample = 0.0, 0.0
    for j in range(inputs):
        gram += a[j] * a[j]
        sample += a0[j] * a0[j]
    scale = 2.0 / curvature
    for e in range(w.shape[0]):
        weight = gamma[e] * (sample if in_samples else scale)
        tau = weight + scale * rho
        shrink, inverse = weight / tau, 1.0 / (gram + tau)
        _apply(w0[e], a, base)
        _apply(w[e], a, u)
        for _ in range(iterations):
            _term_gradient(activation, loss, lam, target, u, gradient)
            for i in range(units):
                centre = shrink * base[i]
                q[i] = inverse * (u[i] - centre - gradient[i] / curvature)
                u[i] = centre + gram * q[i]
        for i in range(units):
            for j in range(inputs):
                value = shrink * w0[e, i, j] + q[i] * a[j]
                new[e, i, j] = value
                mean[i, j] += shares[e] * value
    _apply(mean, a, u)
    return new, mean, u


@compiled
def x_step(
    activation: int,
    loss: int,
    lam: float,
    curvature: float,
    mu: float,
    iterations: int,
    target: Array,
    below: Array,
    s: Array,
    x: Array,
    w: Array,
    shares: Array,
    mean: Array,
) -> tuple[Array, Array, Array]:
    """Return the source, the X-variable with its 1, and the outputs of the weights `mean`.

    The step is that of `solvers.x_update`. The weights `w` are a stack (candidates x outputs x
    inputs); the term of each candidate is multiplied by its share. `curvature` is the product of
    the term's curvature and the activation's.
    """
    units, outputs = s.shape[0], w.shape[1]
    side = np.empty((w.shape[0] * outputs, units), w.dtype)
    for e in range(w.shape[0]):
        root = sqrt(shares[e])
        for i in range(outputs):
            for j in range(units):
                side[e * outputs + i, j] = root * w[e, i, j + 1]
    bound = curvature * _squared_norm_bound(side)
    keep = bound / (mu + bound)
    u, gradient = np.empty(outputs, w.dtype), np.empty(outputs, w.dtype)
    moved, pull = np.empty(units, w.dtype), np.empty(units, w.dtype)
    z = np.empty(units + 1, w.dtype)
    z[0] = 1.0
    for j in range(units):
        moved[j] = s[j]
        z[j + 1] = x[j + 1]
    for _ in range(iterations):
        for j in range(units):
            pull[j] = 0.0
        for e in range(w.shape[0]):
            _apply(w[e], z, u)
            _term_gradient(activation, loss, lam, target, u, gradient)
            for i in range(outputs):
                slope = shares[e] * gradient[i] / (mu + bound)
                for j in range(units):
                    pull[j] += slope * w[e, i, j + 1]
        for j in range(units):
            moved[j] = keep * moved[j] + (1.0 - keep) * below[j] - pull[j]
            z[j + 1] = _phi(activation, moved[j])
    _apply(mean, z, u)
    return moved, z, u


@compiled
def score(
    loss: int,
    constants: tuple[float, float, float, float],
    usual: tuple[float, int, float],
    y: Array,
    outputs: Array,
    shares: Array,
) -> tuple[Array, float]:
    """Return the expert weights `shares` and the typical loss after a row: `Experts.score`.

    `constants` are ETA, SPREAD, WORST and TINY of `experts.shares`. `usual` holds three numbers:
    the largest loss that the row may contribute to the typical loss, the number of rows of which
    the typical loss is the mean, this row included, and the typical loss before the row.
    """
    eta, spread, worst, tiny = constants
    largest, rows, typical_loss = usual
    count = shares.shape[0]
    losses, moved = np.empty(count), np.empty(count, shares.dtype)
    mean_loss = 0.0
    for e in range(count):
        losses[e] = _loss(loss, y, outputs[e])
        mean_loss += shares[e] * losses[e]
    typical_loss += (min(mean_loss, largest) - typical_loss) / rows
    scale = 1.0 / (typical_loss + tiny)
    best, total = losses[0], 0.0
    for e in range(count):
        best = min(best, losses[e])
    top = min(best * scale, worst)
    for e in range(count):
        losses[e] = shares[e] * exp(eta * (top - min(losses[e] * scale, worst)))
        total += losses[e]
    for e in range(count):
        moved[e] = (1.0 - spread) / total * losses[e] + spread / count
    return moved, typical_loss


@compiled
def move_towards(averages: Array, w: Array, steps: tuple[float, ...]) -> None:
    """Add ``step (w - average)`` to each average of a stack, in one pass over the memory."""
    for e in range(averages.shape[0]):
        step = averages.dtype.type(steps[e])
        for i in range(w.shape[0]):
            for j in range(w.shape[1]):
                averages[e, i, j] += step * (w[i, j] - averages[e, i, j])


@compiled
def _deviation(count: float, mean: float, squares: float) -> float:
    """See `moments.Moments.deviation`."""
    deviation = sqrt(squares / max(count, 1.0))
    return deviation if deviation > ROUNDING * abs(mean) else 0.0


@compiled
def follow(
    x: Array,
    horizon: float,
    bound: float,
    count: Array,
    mean: Array,
    squares: Array,
    seen: Array,
    spread: Array,
) -> None:
    """Update the running moments by the rows of `x`, in order: `moments.Moments.update`."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            if np.isnan(x[i, j]):
                continue
            shift = x[i, j] - mean[j]
            deviation = _deviation(count[j], mean[j], squares[j])
            reach = bound * max(deviation, sqrt(spread[j]))
            if deviation > 0.0:
                shift = min(max(shift, -reach), reach)
            if count[j] > horizon - 1.0:
                squares[j] *= (horizon - 1.0) / count[j]
                count[j] = horizon - 1.0
            moved = shift / (count[j] + 1.0)
            squares[j] += count[j] * moved * shift
            seen[j] += 1.0
            spread[j] += (count[j] * moved * shift - spread[j]) / seen[j]
            mean[j] += moved
            count[j] += 1.0


@compiled
def standardize(
    x: Array, count: Array, mean: Array, squares: Array, clip: float, out: Array
) -> None:
    """Set `out` to a row in standard units: `scaling.FeatureScaler.scale`."""
    for j in range(x.shape[0]):
        deviation = _deviation(count[j], mean[j], squares[j])
        if np.isnan(x[j]) or deviation == 0.0:
            out[j] = 0.0
        else:
            out[j] = min(max((x[j] - mean[j]) / deviation, -clip), clip)
