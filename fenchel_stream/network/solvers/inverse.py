"""The inverse of a symmetric positive definite matrix, which a W-step uses several times."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from fenchel_stream.network import compiled
from fenchel_stream.network.arrays import Array, namespace


class Factors:
    """The inverses of a stack of matrices, represented by Cholesky factors.

    To compute an inverse takes two thirds of the work, the factor only one third. A candidate has
    few rows of weights. To solve for these rows several times is less work than the inverse.

    Parameters
    ----------
    factors
        Lower triangular factors, as LAPACK returns them.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream.network.solvers.inverse import inverse_spd
    >>> inverse = inverse_spd(np.array([[[2.0, 1.0], [1.0, 2.0]], [[4.0, 0.0], [0.0, 1.0]]]))
    >>> (inverse @ np.ones((2, 2, 1))).round(12).tolist()
    [[[0.333333333333], [0.333333333333]], [[0.25], [1.0]]]
    """

    def __init__(self, factors: Sequence[Array]) -> None:
        self.factors = factors
        (self._solve,) = _lapack(("potrs",), factors[0].dtype)

    def __matmul__(self, b: Array) -> Array:
        """Return each inverse times its matrix in `b` (k x n x columns)."""
        pairs = zip(self.factors, b, strict=True)
        return np.array([self._solve(factor, matrix, lower=True)[0] for factor, matrix in pairs])


def inverse_spd(h: Array) -> Array | Factors:
    """Invert a symmetric positive definite matrix, or a stack of them.

    On a GPU the call does not wait for the result, because it does not read the status of the
    factorisation.

    Returns
    -------
    inverse
        An object that can be multiplied from the right: for a stack of NumPy matrices, `Factors`.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream.network.solvers.inverse import inverse_spd
    >>> (inverse_spd(np.array([[2.0, 1.0], [1.0, 2.0]])) * 3).round(12).tolist()
    [[2.0, -1.0], [-1.0, 2.0]]
    """
    if type(h) is not np.ndarray:
        torch = namespace(h)
        return torch.cholesky_inverse(torch.linalg.cholesky_ex(h).L)
    factorise, invert = _lapack(("potrf", "potri"), h.dtype)
    # Cholesky's factorisation takes half the time of NumPy's inverse, which ignores symmetry.
    matrices = h.reshape(-1, *h.shape[-2:])
    pairs = [factorise(matrix.T, lower=True, clean=False) for matrix in matrices]
    # It fails because of rounding errors, or of numbers that are not finite.
    if any(failed for _, failed in pairs):
        return np.linalg.inv(h)
    if h.ndim == 3:
        return Factors([factor for factor, _ in pairs])
    return compiled.kernels.mirrored(invert(pairs[0][0], lower=True)[0])


@cache
def _lapack(names: tuple[str, ...], dtype: np.dtype[Any]) -> Any:
    """Return functions of LAPACK, imported at the first use: the import takes a second."""
    return import_module("scipy.linalg.lapack").get_lapack_funcs(names, dtype=dtype)
