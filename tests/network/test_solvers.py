"""The sub-problem solvers against SciPy's L-BFGS-B, and monotone at every single step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fenchel_stream.network.activations import ACTIVATIONS
from fenchel_stream.network.arrays import squared_norm_bound
from fenchel_stream.network.losses import LOSSES
from fenchel_stream.network.solvers import HiddenTerm, OutputTerm, ProximalMetric, Term
from fenchel_stream.network.solvers import w_update as w_solver
from fenchel_stream.network.solvers import x_update as x_solver
from tests.oracle import (
    LOSS_CURVATURE,
    PAIRS,
    Above,
    Matrix,
    ones,
    solve_w,
    solve_x,
    w_objective,
    x_objective,
)
from tests.tensors import INSTALLED, needs_torch, tensor

KINDS: list[Callable[[Matrix], Any]] = [np.asarray, tensor] if INSTALLED else [np.asarray]

TERMS = [*ACTIVATIONS, *LOSSES]
FORMS = pytest.mark.parametrize("dual", [True, False], ids=["dual", "primal"])
SHAPES = [(6, 4, 3), (3, 7, 2), (1, 5, 2)]  # rows, inputs with their ones, units


def term_of(name: str, target: Any, lam: float) -> Term:
    if name in LOSSES:
        return OutputTerm(LOSSES[name], target)
    return HiddenTerm(ACTIVATIONS[name], target, lam)


def above_of(name: str, target: Matrix, lam: float) -> Above:
    if name in LOSSES:
        return Above.output(name, target)
    return Above.hidden(PAIRS[name], target, lam)


def target_of(name: str, rng: np.random.Generator, m: int, q: int) -> Matrix:
    """What the term pulls towards: targets, or X-variables that the activation can produce."""
    if name == "cross_entropy":
        return np.eye(q)[rng.integers(0, q, m)]
    values = rng.normal(size=(m, q))
    return values if name in LOSSES else PAIRS[name].phi(1.5 * values)


@dataclass
class WProblem:
    """One W-sub-problem, for the solver and for the oracle."""

    name: str
    seed: int = 0
    m: int = 6
    p: int = 4
    q: int = 3
    scale: float = 1.0
    lam: float = 1.0
    gamma: float = 0.5
    rho: float = 0.0

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        self.a = ones(self.scale * rng.normal(size=(self.m, self.p - 1)))
        self.w0 = 0.5 * rng.normal(size=(self.q, self.p))
        self.elsewhere = self.w0 + 0.5 * rng.normal(size=(self.q, self.p))
        self.target = target_of(self.name, rng, self.m, self.q)
        self.term = term_of(self.name, self.target, self.lam)
        self.above = above_of(self.name, self.target, self.lam)
        if self.name in LOSSES:
            self.c = LOSS_CURVATURE[self.name]
        else:
            self.c = self.lam * PAIRS[self.name].curvature

    def metric(self, *, dual: bool) -> ProximalMetric:
        return ProximalMetric.of(self.a, 2 * self.gamma / self.c, 2 * self.rho / self.c, dual=dual)

    def objective(self, w: Matrix) -> float:
        return w_objective(self.above, self.a, w, self.w0, self.gamma, self.rho)

    def walk(self, start: Matrix, steps: int, *, dual: bool) -> list[Matrix]:
        """The weights after each of `steps` calls of one iteration."""
        metric, w, u = self.metric(dual=dual), start, self.a @ start.T
        path = [w]
        for _ in range(steps):
            w, u = w_solver(self.term, metric, w, self.w0, u, iterations=1)
            np.testing.assert_allclose(u, self.a @ w.T, rtol=1e-9, atol=1e-9 * np.abs(u).max())
            path.append(w)
        return path


W_PROBLEMS = st.builds(
    WProblem,
    name=st.sampled_from(TERMS),
    seed=st.integers(0, 10**6),
    m=st.integers(1, 6),
    p=st.integers(1, 6),
    q=st.integers(1, 4),
    scale=st.sampled_from([0.1, 1.0, 10.0]),
    lam=st.sampled_from([0.01, 1.0, 30.0]),
    gamma=st.sampled_from([0.01, 1.0, 100.0]),
    rho=st.sampled_from([0.0, 0.1, 10.0]),
)


def falls(values: list[float]) -> bool:
    return all(later <= earlier + 1e-11 * (1 + abs(earlier)) for earlier, later in pairwise(values))


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("rho", [0.0, 0.3])
class TestWUpdate:
    @pytest.mark.parametrize(("m", "p", "q"), SHAPES)
    @FORMS
    def test_reaches_the_minimiser(
        self, name: str, rho: float, m: int, p: int, q: int, dual: bool
    ) -> None:
        problem = WProblem(name, 1, m, p, q, rho=rho)
        best = solve_w(problem.above, problem.a, problem.w0, problem.gamma, rho)
        for start in (problem.w0, problem.elsewhere):
            u = problem.a @ start.T
            metric = problem.metric(dual=dual)
            w, u = w_solver(problem.term, metric, start, problem.w0, u, iterations=300)
            np.testing.assert_allclose(w, best, atol=1e-6)
            np.testing.assert_allclose(u, problem.a @ w.T, atol=1e-10)
            gap = problem.objective(w) - problem.objective(best)
            assert abs(gap) <= 1e-9 * (1 + abs(problem.objective(best)))
            assert problem.objective(w) < problem.objective(start)

    @needs_torch
    def test_torch_gives_the_same(self, name: str, rho: float) -> None:
        problem = WProblem(name, 2, rho=rho)
        for dual in (True, False):
            steps = {"iterations": 4}
            a, w0, start = (tensor(x) for x in (problem.a, problem.w0, problem.elsewhere))
            target = target_of(name, np.random.default_rng(5), problem.m, problem.q)
            weight, decay = 2 * problem.gamma / problem.c, 2 * rho / problem.c
            w, u = w_solver(
                term_of(name, tensor(target), 1.0),
                ProximalMetric.of(a, weight, decay, dual),
                start,
                w0,
                a @ start.T,
                **steps,
            )
            expected, _ = w_solver(
                term_of(name, target, 1.0),
                ProximalMetric.of(problem.a, weight, decay, dual),
                problem.elsewhere,
                problem.w0,
                problem.a @ problem.elsewhere.T,
                **steps,
            )
            np.testing.assert_allclose(w.numpy(), expected, rtol=1e-10, atol=1e-12)
            np.testing.assert_allclose(u.numpy(), problem.a @ expected.T, rtol=1e-10, atol=1e-12)


class TestEveryWStep:
    @given(problem=W_PROBLEMS, dual=st.booleans(), far=st.booleans())
    @settings(max_examples=150)
    def test_is_monotone(self, problem: WProblem, dual: bool, far: bool) -> None:
        path = problem.walk(problem.elsewhere if far else problem.w0, 8, dual=dual)
        assert falls([problem.objective(w) for w in path])

    @given(problem=W_PROBLEMS, far=st.booleans())
    def test_is_the_same_in_both_forms(self, problem: WProblem, far: bool) -> None:
        start = problem.elsewhere if far else problem.w0
        primal = problem.walk(start, 4, dual=False)
        for w, expected in zip(problem.walk(start, 4, dual=True), primal, strict=True):
            np.testing.assert_allclose(w, expected, rtol=1e-7, atol=1e-8)

    @given(problem=W_PROBLEMS, dual=st.booleans(), steps=st.integers(1, 5))
    def test_adds_up(self, problem: WProblem, dual: bool, steps: int) -> None:
        start = problem.elsewhere
        at_once, _ = w_solver(
            problem.term,
            problem.metric(dual=dual),
            start,
            problem.w0,
            problem.a @ start.T,
            iterations=steps,
        )
        one_by_one = problem.walk(start, steps, dual=dual)[-1]
        np.testing.assert_allclose(at_once, one_by_one, rtol=1e-7, atol=1e-8)

    @given(problem=W_PROBLEMS)
    def test_leaves_its_arguments_alone(self, problem: WProblem) -> None:
        metric = problem.metric(dual=problem.seed % 2 == 0)
        u = problem.a @ problem.elsewhere.T
        given_ = [problem.elsewhere, problem.w0, u, problem.a, metric.gram, metric.inverse]
        copies = [x.copy() for x in given_]
        w_solver(problem.term, metric, problem.elsewhere, problem.w0, u, iterations=3)
        assert all(np.array_equal(x, y) for x, y in zip(given_, copies, strict=True))

    @given(problem=W_PROBLEMS, dual=st.booleans(), steps=st.integers(1, 4))
    def test_of_several_gammas_is_a_stack(self, problem: WProblem, dual: bool, steps: int) -> None:
        gammas = np.array([0.01, 1.0, 100.0])
        starts = np.stack([problem.w0, problem.elsewhere, -problem.w0])
        weights, decay = 2 * gammas / problem.c, 2 * problem.rho / problem.c
        w, u = w_solver(
            problem.term,
            ProximalMetric.of(problem.a, weights.reshape(-1, 1, 1), decay, dual),
            starts,
            starts,
            problem.a @ starts.mT,
            steps,
        )
        for k, start in enumerate(starts):
            metric = ProximalMetric.of(problem.a, weights[k], decay, dual)
            expected = w_solver(problem.term, metric, start, start, problem.a @ start.T, steps)
            np.testing.assert_allclose(w[k], expected[0], rtol=1e-7, atol=1e-8)
            np.testing.assert_allclose(u[k], expected[1], rtol=1e-7, atol=1e-8)

    @pytest.mark.parametrize(("m", "p", "dual"), [(3, 5, True), (5, 3, False), (1, 1, True)])
    def test_takes_the_cheaper_form(self, m: int, p: int, dual: bool) -> None:
        assert ProximalMetric.of(np.ones((m, p)), 1.0).dual is dual


@dataclass
class XProblem:
    """One X-sub-problem, for the solver and for the oracle."""

    activation: str
    name: str
    seed: int = 0
    m: int = 4
    q: int = 3
    outputs: int = 2
    scale: float = 1.0
    lam: float = 1.0
    mu: float = 1.0

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        self.w = self.scale * rng.normal(size=(self.outputs, 1 + self.q))
        self.u_below = rng.normal(size=(self.m, self.q))
        self.elsewhere = self.u_below + rng.normal(size=(self.m, self.q))
        self.target = target_of(self.name, rng, self.m, self.outputs)
        self.term = term_of(self.name, self.target, self.lam)
        self.above = above_of(self.name, self.target, self.lam)
        self.pair = PAIRS[self.activation]

    def objective(self, z: Matrix) -> float:
        return x_objective(self.above, self.pair, z, self.w, self.u_below, self.mu)

    def solve(self, s: Matrix, iterations: int, tensors: bool = False) -> tuple[Any, Any, Any]:
        convert: Callable[[Matrix], Any] = tensor if tensors else np.asarray
        a = ones(self.pair.phi(s))
        term = term_of(self.name, convert(self.target), self.lam)
        u_below, w, u = (convert(x) for x in (self.u_below, self.w, a @ self.w.T))
        activation = ACTIVATIONS[self.activation]
        return x_solver(
            term, activation, self.mu, u_below, convert(s), convert(a), w, u, iterations
        )

    def walk(self, s: Matrix, steps: int) -> list[Matrix]:
        """The X-variables after each of `steps` calls of one iteration."""
        path = [self.pair.phi(s)]
        for _ in range(steps):
            s, a, u = self.solve(s, 1)
            z = a[:, 1:]
            assert (a[:, 0] == 1).all()
            assert ((z >= self.pair.lower) & (z <= self.pair.upper)).all()
            np.testing.assert_allclose(z, self.pair.phi(s), rtol=1e-12, atol=1e-15)
            np.testing.assert_allclose(u, a @ self.w.T, rtol=1e-9, atol=1e-9)
            path.append(z)
        return path


X_PROBLEMS = st.builds(
    XProblem,
    activation=st.sampled_from(list(ACTIVATIONS)),
    name=st.sampled_from(TERMS),
    seed=st.integers(0, 10**6),
    m=st.integers(1, 5),
    q=st.integers(1, 5),
    outputs=st.integers(1, 4),
    scale=st.sampled_from([0.1, 1.0, 4.0]),
    lam=st.sampled_from([0.03, 1.0, 10.0]),
    mu=st.sampled_from([0.03, 1.0, 10.0]),
)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("above", ["itself", *LOSSES])
class TestXUpdate:
    def test_reaches_the_minimiser(self, activation: str, above: str) -> None:
        name = activation if above == "itself" else above
        problem = XProblem(activation, name, seed=3)
        best, _ = solve_x(
            problem.above, problem.pair, problem.u_below, problem.w, problem.u_below, problem.mu
        )
        for start in (problem.u_below, problem.elsewhere):
            _, a, u = problem.solve(start, 500)
            np.testing.assert_allclose(a[:, 1:], best, atol=1e-6)
            np.testing.assert_allclose(u, a @ problem.w.T, atol=1e-12)
            gap = problem.objective(a[:, 1:]) - problem.objective(best)
            assert abs(gap) <= 1e-9 * (1 + abs(problem.objective(best)))
            assert problem.objective(a[:, 1:]) < problem.objective(problem.pair.phi(start))

    @needs_torch
    def test_torch_gives_the_same(self, activation: str, above: str) -> None:
        name = activation if above == "itself" else above
        problem = XProblem(activation, name, seed=4)
        ours = problem.solve(problem.elsewhere, 4)
        theirs = problem.solve(problem.elsewhere, 4, tensors=True)
        for x, y in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(x, y.numpy(), rtol=1e-10, atol=1e-12)


class TestEveryXStep:
    @given(problem=X_PROBLEMS, far=st.booleans())
    @settings(max_examples=200)
    def test_is_monotone_within_the_range(self, problem: XProblem, far: bool) -> None:
        path = problem.walk(problem.elsewhere if far else problem.u_below, 8)
        assert falls([problem.objective(z) for z in path if inner(problem, z)])

    @given(problem=X_PROBLEMS)
    def test_leaves_its_arguments_alone(self, problem: XProblem) -> None:
        u_below, s, w = problem.u_below, problem.elsewhere, problem.w
        a = ones(problem.pair.phi(s))
        u = a @ w.T
        given_ = [u_below, s, a, w, u]
        copies = [x.copy() for x in given_]
        activation = ACTIVATIONS[problem.activation]
        x_solver(problem.term, activation, problem.mu, u_below, s, a, w, u, iterations=3)
        assert all(np.array_equal(x, y) for x, y in zip(given_, copies, strict=True))

    @given(problem=X_PROBLEMS, steps=st.integers(1, 5))
    def test_adds_up(self, problem: XProblem, steps: int) -> None:
        _, a, _ = problem.solve(problem.elsewhere, steps)
        one_by_one = problem.walk(problem.elsewhere, steps)[-1]
        np.testing.assert_allclose(a[:, 1:], one_by_one, rtol=1e-9, atol=1e-12)

    @given(problem=X_PROBLEMS)
    def test_is_the_documented_one(self, problem: XProblem) -> None:
        # M, solved from the step, bounds the curvature of f relative to F, and not by much.
        s, mu = problem.elsewhere, problem.mu
        moved, _, _ = problem.solve(s, 1)
        z = ones(problem.pair.phi(s))
        gradient = problem.above.gradient(z @ problem.w.T) @ problem.w[:, 1:]
        pull = mu * (problem.u_below - moved) - gradient
        far = np.abs(moved - s) > 1e-6 * np.abs(s).max()
        found = pull[far] / (moved - s)[far]
        curvature = LOSS_CURVATURE.get(problem.name)
        if curvature is None:
            curvature = problem.lam * PAIRS[problem.name].curvature
        least = np.linalg.norm(problem.w[:, 1:], 2) ** 2 * curvature * problem.pair.curvature
        rank = min(problem.q, problem.outputs)
        assert (found >= least * (1 - 1e-6) - 1e-6 * mu).all()
        assert (found <= least * rank**0.25 * (1 + 1e-6) + 1e-6 * mu).all()

    @pytest.mark.parametrize("activation", ACTIVATIONS)
    def test_weights_of_zero_lead_back_to_the_forward_pass(self, activation: str) -> None:
        # As of an output layer that has not learnt yet: nothing pulls from above.
        problem = XProblem(activation, "cross_entropy", scale=0.0)
        s, _, _ = problem.solve(problem.elsewhere, 1)
        np.testing.assert_allclose(s, problem.u_below, rtol=1e-12)


def inner(problem: XProblem, z: Matrix) -> bool:
    """Whether Legendre's formula gives the oracle the objective at `z`."""
    lower, upper = problem.pair.lower, problem.pair.upper
    return problem.activation == "relu" or bool(((z > lower) & (z < upper)).all())


class TestSquaredNormBound:
    @given(
        seed=st.integers(0, 10**6),
        rows=st.integers(1, 8),
        columns=st.integers(1, 8),
        rank=st.integers(1, 8),
        scale=st.sampled_from([1e-6, 1.0, 1e6]),
        decay=st.sampled_from([1.0, 0.1, 1e-3]),
    )
    @settings(max_examples=200)
    def test_bounds_from_above_and_closely(
        self, seed: int, rows: int, columns: int, rank: int, scale: float, decay: float
    ) -> None:
        rng = np.random.default_rng(seed)
        rank = min(rank, rows, columns)
        w = scale * rng.normal(size=(rows, rank)) * decay ** np.arange(rank)
        w = w @ rng.normal(size=(rank, columns))
        for dtype in ("float64", "float32"):
            for kind in KINDS:
                x = w.astype(dtype)
                true = np.linalg.norm(x.astype(float), 2) ** 2
                found = float(squared_norm_bound(kind(x)))
                rounding = 20 * np.finfo(dtype).eps
                assert true * (1 - rounding) <= found
                assert found <= true * rank**0.25 * (1 + rounding)

    def test_is_exact_for_one_direction_and_worst_for_equal_ones(self) -> None:
        assert squared_norm_bound(np.full((3, 4), 2.0)) == pytest.approx(48.0)
        assert squared_norm_bound(3.0 * np.eye(16)) == pytest.approx(9.0 * 2)
        for kind in KINDS:
            assert float(squared_norm_bound(kind(np.zeros((2, 3))))) == 0.0
