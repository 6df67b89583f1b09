"""The inverse of a symmetric positive definite matrix, which a W-step uses several times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.linalg import lapack

from fenchel_stream.network.arrays import Array, namespace
from fenchel_stream.network.compiled import kernels


class Factors:
    """Cholesky factors of a stack of matrices, which stand for their inverses in products.

    A candidate's weights are a few rows: to solve for those, some times over, takes less than to
    invert the matrix first, which is two thirds of the work.

    Parameters
    ----------
    factors
        Lower triangles, as LAPACK leaves them.

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
        self._solve = lapack.get_lapack_funcs("potrs", (factors[0],))

    def __matmul__(self, b: Array) -> Array:
        """Return the inverses times `b`, a matrix for each (k x n x columns)."""
        pairs = zip(self.factors, b, strict=True)
        return np.array([self._solve(factor, one, lower=True)[0] for factor, one in pairs])


def inverse_spd(h: Array) -> Array | Factors:
    """Invert a symmetric positive definite matrix, or a stack of them.

    On CUDA nothing waits for the result: the factorisation's status is not read.

    Returns
    -------
    inverse
        What can be multiplied from the right: of a stack of NumPy matrices its `Factors`.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_stream.network.solvers.inverse import inverse_spd
    >>> (inverse_spd(np.array([[2.0, 1.0], [1.0, 2.0]])) * 3).round(12).tolist()
    [[2.0, -1.0], [-1.0, 2.0]]
    """
    if namespace(h) is torch:
        return torch.cholesky_inverse(torch.linalg.cholesky_ex(h).L)
    factorise, invert = lapack.get_lapack_funcs(("potrf", "potri"), (h,))
    # By Cholesky's factor, in half the time of NumPy's inverse, which takes any matrix.
    found = [factorise(one.T, lower=True, clean=False) for one in h.reshape(-1, *h.shape[-2:])]
    if any(failed for _, failed in found):  # by rounding, or by numbers that are not finite
        return np.linalg.inv(h)
    if h.ndim == 3:
        return Factors([factor for factor, _ in found])
    return kernels.mirrored(invert(found[0][0], lower=True)[0])
