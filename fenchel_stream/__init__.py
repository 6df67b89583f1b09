"""Neural networks that learn streams by exact proximal block-coordinate steps."""

from fenchel_stream.network import LiftedNetwork

__all__ = ["LiftedNetwork"]
