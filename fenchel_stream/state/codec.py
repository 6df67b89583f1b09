"""`pack` and `restore`, what the rest of the project sees of this package."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from fenchel_stream.errors import CheckpointError
from fenchel_stream.state.arrays import Arrays, data_of
from fenchel_stream.state.callables import Callables
from fenchel_stream.state.classes import (
    ALLOWED,
    attributes,
    class_name,
    container_of,
    find_class,
    keeps_all_in_attributes,
    set_attributes,
)
from fenchel_stream.state.generators import Generators
from fenchel_stream.state.kind import Kind
from fenchel_stream.state.objects import Objects
from fenchel_stream.state.packer import Packer
from fenchel_stream.state.restorer import Restorer
from fenchel_stream.state.rust import RustObjects, VectorDicts
from fenchel_stream.state.trust import admitted

KINDS: tuple[Kind, ...] = (
    Objects(),
    Arrays(),
    Generators(),
    VectorDicts(),
    RustObjects(),
    Callables(),
)
"""All kinds of objects, in the order in which they are asked. To add one, list it here."""


def pack(
    obj: Any, path: str = "", allow: tuple[str, ...] = ALLOWED
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the state of `obj` as a JSON tree and named arrays.

    Parameters
    ----------
    obj
        Anything made of Python's and NumPy's own types, tensors, and objects of `allow`.
    path
        What error messages and arrays call `obj`; if empty, the keys of a dict name its parts.
    allow
        Packages whose classes may be stored.

    Returns
    -------
    tree, arrays
        The arrays share memory with `obj`: write or copy them before it changes.

    Raises
    ------
    CheckpointError
        Something in `obj` has state that cannot be seen, or is code that a fresh object may not
        have; the message names it.

    Examples
    --------
    >>> from river import stats
    >>> from fenchel_stream.state import pack, restore
    >>> mean = stats.Mean()
    >>> mean.update(3.0)
    >>> tree, arrays = pack(mean)
    >>> restore(stats.Mean(), tree, arrays).get()
    3.0
    """
    packer = Packer(KINDS, allow)
    tree = packer.run(obj, path)
    arrays = {name: data_of(array) for name, array in packer.arrays.items()}
    # Make sure now, not when the state is needed, that a new object has what is not stored.
    fresh = _fresh_like(obj, allow)
    if any(node["kind"] == Callables.tag for node in tree["nodes"]):
        restore(fresh, tree, arrays, allow)
    else:
        admitted(tree, Packer(KINDS, allow).run(fresh, ""), KINDS, allow)
    return tree, arrays


def restore(
    fresh: Any,
    tree: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    allow: tuple[str, ...] = ALLOWED,
) -> Any:
    """Put a packed state into `fresh` and return it.

    Parameters
    ----------
    fresh
        A new object of the configuration of the one that was packed. It keeps its identity, its
        functions and its devices; everything else becomes what it was. None restores data alone.
        After an error it is in no defined state: build another.
    tree, arrays
        What `pack` returned.
    allow
        Packages whose classes may be made.

    Raises
    ------
    CheckpointError
        The state is not that of an object like `fresh`, or names what is not allowed.
    """
    name = type(fresh).__name__
    own = Packer(KINDS, allow).run(fresh, "")
    try:
        names = admitted(tree, own, KINDS, allow)

        def find(class_name: str) -> type:
            if class_name not in names:
                raise CheckpointError(f"class {class_name!r} is none of this {name}")
            return find_class(class_name)

        restored = Restorer(KINDS, tree["nodes"], arrays, find).run(tree["root"], fresh)
    except CheckpointError:
        raise
    except Exception as error:  # what a file says may be wrong in any way
        raise CheckpointError(f"the stored state does not fit this {name}: {error!r}") from error
    if fresh is not None and type(restored) is not type(fresh):
        raise CheckpointError(
            f"the stored state is that of a {type(restored).__name__}, not {name}"
        )
    return restored


_MOST_NESTED = 50
"""How deep in data a model may be."""


def _fresh_like(obj: Any, allow: tuple[str, ...], seen: frozenset[int] = frozenset()) -> Any:
    """Return an object of the configuration of `obj`, new as far as River can make one."""
    cls: Any = type(obj)
    if id(obj) in seen or len(seen) > _MOST_NESTED:
        return None
    if isinstance(obj, type):
        return obj
    seen |= {id(obj)}
    if hasattr(cls, "_get_params"):
        try:
            params = obj._get_params()  # noqa: SLF001 - River has no public way to ask
            # River copies a list of models with all that they have learnt.
            lists = {name: value for name, value in params.items() if type(value) is list}
            changes = {name: _fresh_like(value, allow, seen) for name, value in lists.items()}
            return obj.clone(changes) if changes else obj.clone()
        except Exception:  # noqa: BLE001 - some of River's classes cannot be cloned
            return None
    if cls is dict:
        return {key: _fresh_like(value, allow, seen) for key, value in obj.items()}
    if cls in (list, tuple, deque):
        return cls(_fresh_like(value, allow, seen) for value in obj)
    ours = ":" in (class_name(cls, allow) or "")
    if not ours or container_of(cls) is not object or not keeps_all_in_attributes(cls):
        return None
    fresh = object.__new__(cls)
    state = {name: _fresh_like(value, allow, seen) for name, value in attributes(obj).items()}
    set_attributes(fresh, state)
    return fresh
