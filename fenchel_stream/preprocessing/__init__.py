"""Scaling and one-hot encoding of features, and scaling of targets, before a model learns them."""

from fenchel_stream.preprocessing.moments import Moments
from fenchel_stream.preprocessing.one_hot import OneHot
from fenchel_stream.preprocessing.pipeline import pipeline
from fenchel_stream.preprocessing.scaling import FeatureScaler, TargetScaler
from fenchel_stream.preprocessing.standardize import Standardize

__all__ = ["FeatureScaler", "Moments", "OneHot", "Standardize", "TargetScaler", "pipeline"]
