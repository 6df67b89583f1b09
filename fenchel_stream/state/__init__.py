"""The state of models as plain data: a JSON tree and named arrays, and back, without pickle.

`pack` walks everything that an object holds; `restore` puts it into a freshly built object of the
same configuration. Nothing that a file says is executed: objects are made without calling their
constructor and given their attributes, and functions are those of the fresh object. Which classes
a file may name, and where, is in `trust`.
"""

from fenchel_stream.state.classes import ALLOWED
from fenchel_stream.state.codec import pack, restore

__all__ = ["ALLOWED", "pack", "restore"]
