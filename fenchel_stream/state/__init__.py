"""The state of models as plain data: a JSON tree and named arrays, and back, without pickle.

`pack` walks everything that an object holds; `restore` puts it into a freshly built object of the
same configuration. Nothing that a file says is executed: classes are looked up by name within the
packages of an allow-list, made without calling their constructor, and given their attributes.
Functions never come from the file; those of the fresh object stay where they are.
"""

from fenchel_stream.state.classes import ALLOWED
from fenchel_stream.state.codec import pack, restore

__all__ = ["ALLOWED", "pack", "restore"]
