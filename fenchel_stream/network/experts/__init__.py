"""Experts that predict side by side, and the weight of each.

`GammaMixture` holds the candidates of the output layer where gamma is ``auto``. `Averages` holds
averaged weights of the network. `Experts` holds what they share: the weight of each expert.
"""

from fenchel_stream.network.experts.averages import Averages
from fenchel_stream.network.experts.gamma_mixture import GammaMixture
from fenchel_stream.network.experts.shares import Experts

__all__ = ["Averages", "Experts", "GammaMixture"]
