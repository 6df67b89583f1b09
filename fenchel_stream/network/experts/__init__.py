"""Experts that predict side by side, and the weight of each.

`GammaMixture` are the candidates of the output layer where gamma is ``auto``; `Averages` are
averaged weights of the network.
"""

from fenchel_stream.network.experts.averages import Averages
from fenchel_stream.network.experts.gamma_mixture import GammaMixture
from fenchel_stream.network.experts.shares import Experts

__all__ = ["Averages", "Experts", "GammaMixture"]
