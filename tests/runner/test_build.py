"""From a configuration to models and metrics, and what cannot be built."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import pytest
from river import compose, linear_model, metrics, tree

from fenchel_stream import FenchelClassifier, FenchelMultiTargetRegressor, FenchelRegressor
from fenchel_stream.errors import ConfigError
from fenchel_stream.preprocessing import OneHot, Standardize
from fenchel_stream.runner.build import ESTIMATORS, build_metrics, build_model
from fenchel_stream.runner.config import Config, parse


def config(kind: str = "classification", **tables: Any) -> Config:
    return parse({"source": {"url": "csv:a.csv", "target": "y", "kind": kind}, **tables})


def built(**tables: Any) -> Any:
    model: Any = build_model(config(**tables))
    while isinstance(model, compose.Pipeline):
        model = model[-1]
    return model


class TestModel:
    @pytest.mark.parametrize(
        ("kind", "cls"),
        [
            ("classification", FenchelClassifier),
            ("regression", FenchelRegressor),
            ("multi-target", FenchelMultiTargetRegressor),
        ],
    )
    def test_each_kind_has_its_estimator(self, kind: str, cls: type) -> None:
        assert type(built(kind=kind)) is cls

    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            ("hidden", [64], (64,)),
            ("hidden", [], ()),
            ("hidden", [32, 16], (32, 16)),
            ("gamma", "auto", "auto"),
            ("gamma", 2, 2),
            ("gamma", [0.1, 1], (0.1, 1.0)),
            ("lam", 1, 1.0),
            ("scale", False, False),
            ("activation", "tanh", "tanh"),
            ("dtype", "float64", "float64"),
            ("seed", 7, 7),
        ],
    )
    def test_parameters_get_the_types_they_are_declared_with(
        self, name: str, value: Any, expected: Any
    ) -> None:
        made = getattr(built(model={name: value}), name)
        assert (made, type(made)) == (expected, type(expected)) or made == expected == value

    def test_all_parameters_of_the_estimators_can_be_configured(self) -> None:
        for kind, cls in ESTIMATORS.items():
            default = cls()
            names = inspect.signature(cls).parameters
            settings = {name: getattr(default, name) for name in names}
            assert type(built(kind=kind, model=settings)) is cls

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"hiden": [8]}, "model: unknown parameter 'hiden'; known: hidden, activation, "),
            ({"hidden": 8}, "model.hidden: Expected `array`, got `int`"),
            ({"hidden": [8.5]}, "model.hidden: Expected `int`, got `float`"),
            ({"hidden": ["8"]}, "model.hidden: Expected `int`, got `str`"),
            ({"lam": "1"}, "model: lam is a number or 'auto', not '1'"),
            ({"lam": True}, "model.lam: Expected `float | str`, got `bool`"),
            ({"gamma": True}, "model.gamma: Expected `float | str | array`, got `bool`"),
            ({"gamma": ["auto"]}, "model.gamma: Expected `float`, got `str`"),
            ({"scale": 1}, "model.scale: Expected `bool`, got `int`"),
            ({"seed": 1.5}, "model.seed: Expected `int`, got `float`"),
            ({"factory": 3}, "model.factory 3 is not of the form module:function"),
            ({"factory": "math"}, "model.factory 'math' is not of the form module:function"),
            ({"factory": ":f"}, "model.factory ':f' is not of the form"),
            ({"factory": "no_such_module:f"}, "model.factory 'no_such_module:f': No module named"),
            ({"factory": "tests.models:f"}, "model.factory 'tests.models:f': module 'tests.mode"),
            ({"factory": "tests.models:NOT_A_FUNCTION"}, "model.factory 'tests.models:NOT_A_FUNC"),
            ({"factory": "tests.models:nothing"}, "model.factory 'tests.models:nothing' returned"),
            ({"factory": "tests.models:shape"}, "model: shape() missing 1 required positional"),
            ({"factory": "tests.models:logistic", "rat": 1}, "model: unknown parameter 'rat'; kn"),
            ({"factory": "tests.models:logistic", "rate": "1"}, "model.rate: Expected `float`"),
        ],
    )
    def test_what_cannot_be_built(self, settings: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError) as error:
            build_model(config(model=settings))
        assert str(error.value).startswith(message)

    @pytest.mark.parametrize(
        "settings",
        [
            {"hidden": [0]},
            {"hidden": [-8]},
            {"activation": "swish"},
            {"order": "sideways"},
            {"dtype": "float16"},
            {"device": "abacus"},
            {"gamma": "manual"},
            {"gamma": [1.0]},
            {"gamma": -1},
            {"lam": -1},
            {"lam": float("nan")},
            {"lam": float("inf")},
            {"rho": -1},
            {"alternations": 0},
            {"batch_size": 0},
        ],
    )
    def test_values_that_make_no_sense(self, settings: dict[str, Any]) -> None:
        with pytest.raises(ConfigError) as error:
            build_model(config(model=settings))
        assert next(iter(settings)) in str(error.value)

    def test_a_seed_that_cannot_be(self) -> None:
        with pytest.raises(ConfigError, match="model: seed must be at least 0, not -1"):
            build_model(config(model={"seed": -1}))

    def test_a_gpu_that_is_not_there(self) -> None:
        with pytest.raises(ConfigError, match="model: device 'cuda:77' cannot be used: "):
            build_model(config(model={"device": "cuda:77"}))

    def test_factories_get_what_they_declare(self) -> None:
        made = built(model={"factory": "tests.models:logistic", "rate": 1})
        assert isinstance(made, linear_model.LogisticRegression)
        names = {"sizes": [1, 2], "names": ["a"]}
        assert built(model={"factory": "tests.models:shape", **names})
        assert built(model={"factory": "tests.models:only_pickle", "code_size": 3}).code_size == 3
        # Any callable that can be imported will do.
        made = built(model={"factory": "river.linear_model:PAClassifier", "C": 2})
        assert (type(made), made.C) == (linear_model.PAClassifier, 2)

    def test_a_factory_may_stand_in_the_working_directory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "my_own_models.py").write_text(
            "from river.linear_model import SoftmaxRegression as make\n"
        )
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", list(sys.path))
        made = built(model={"factory": "my_own_models:make"})
        assert isinstance(made, linear_model.SoftmaxRegression)
        del sys.modules["my_own_models"]

    def test_preprocessing_stands_before_any_model(self) -> None:
        features = {"one_hot": ["c"], "scale": ["a"]}
        model: Any = build_model(config(features=features))
        scaler, encoder, last = model.steps.values()
        assert isinstance(scaler, Standardize)
        assert scaler.columns == ("a",)
        assert isinstance(encoder, OneHot)
        assert isinstance(last, FenchelClassifier)
        plain: Any = build_model(config(features={"scale": False}))
        assert list(map(type, plain.steps.values())) == [FenchelClassifier]
        with pytest.raises(ConfigError, match="c: a feature cannot be in both scale and one_hot"):
            build_model(config(features={"one_hot": ["c"], "scale": ["a", "c"]}))

    @pytest.mark.parametrize(
        ("model", "kinds"),
        [
            ({}, [FenchelClassifier]),
            ({"scale": False}, [Standardize, FenchelClassifier]),
            ({"factory": "tests.models:hoeffding"}, [Standardize, tree.HoeffdingTreeClassifier]),
        ],
        ids=["default", "model.scale is off", "another model"],
    )
    def test_features_are_scaled_once(self, model: dict[str, Any], kinds: list[type]) -> None:
        built_model: Any = build_model(config(model=model))
        assert list(map(type, built_model.steps.values())) == kinds


class TestMetrics:
    @pytest.mark.parametrize(
        ("kind", "names", "classes"),
        [
            ("classification", [], [metrics.Accuracy]),
            ("classification", ["F1", "ROCAUC"], [metrics.F1, metrics.ROCAUC]),
            ("regression", [], [metrics.MAE]),
            ("multi-target", ["RMSE"], [metrics.multioutput.MicroAverage]),
        ],
    )
    def test_they_are_named_as_in_river(
        self, kind: str, names: list[str], classes: list[type]
    ) -> None:
        made = build_metrics(config(kind, metrics={"names": names}))
        assert list(map(type, made)) == classes

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("Acuracy", "metrics.names: river.metrics has no metric 'Acuracy'"),
            ("base", "metrics.names: river.metrics has no metric 'base'"),
            ("", "metrics.names: river.metrics has no metric ''"),
            ("FBeta", "metrics.names: FBeta needs parameters: "),
            ("ConfusionMatrix", "metrics.names: ConfusionMatrix has no number"),
            ("ClassificationReport", "metrics.names: ClassificationReport has no number"),
        ],
    )
    def test_what_cannot_be_built(self, name: str, message: str) -> None:
        with pytest.raises(ConfigError) as error:
            build_metrics(config(metrics={"names": ["Accuracy", name]}))
        assert str(error.value).startswith(message)

    @pytest.mark.parametrize("name", [n for n in metrics.__all__ if n[0].isupper()])
    def test_every_metric_of_river_is_a_number_or_refused(self, name: str) -> None:
        try:
            (metric,) = build_metrics(config(metrics={"names": [name]}))
        except ConfigError:
            return
        assert isinstance(metric, metrics.base.Metric)
        assert float(metric.get()) == metric.get()
