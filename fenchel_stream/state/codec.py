"""`pack` and `restore`, what the rest of the project sees of this package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from numpy.typing import NDArray

from fenchel_stream.errors import CheckpointError, is_panic
from fenchel_stream.state.arrays import Arrays, data_of, refuse_shared
from fenchel_stream.state.callables import Callables
from fenchel_stream.state.classes import ALLOWED, find_class
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
    try:
        refuse_shared(arrays)
        _verify(packer, tree, arrays)
    except CheckpointError as error:
        raise CheckpointError(f"{error}: set allow_pickle = true if you accept pickle") from error
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
    except BaseException as error:  # what a file says may be wrong in any way
        if not (isinstance(error, Exception) or is_panic(error)):
            raise
        raise CheckpointError(f"the stored state does not fit this {name}: {error!r}") from error
    if fresh is not None and type(restored) is not type(fresh):
        raise CheckpointError(
            f"the stored state is that of a {type(restored).__name__}, not {name}"
        )
    return restored


def _verify(packer: Packer, tree: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    """Make sure now, not when the state is needed, that new models have what is not stored."""
    has_code = any(node["kind"] == Callables.tag for node in tree["nodes"])
    for number in _models(packer, tree):
        part = {**tree, "root": [number]}
        if (fresh := _clone(packer.object(number))) is None:
            continue
        if has_code:
            restore(fresh, part, arrays, packer.allow)
        else:
            admitted(part, Packer(KINDS, packer.allow).run(fresh, ""), KINDS, packer.allow)


def _models(packer: Packer, tree: dict[str, Any]) -> Iterator[int]:
    """Yield the nodes of River's objects that are not part of others."""
    kinds = {kind.tag: kind for kind in KINDS}
    todo, visited = [tree["root"]], set()
    while todo:
        packed = todo.pop()
        if not isinstance(packed, list) or packed[0] in visited:
            continue
        (number,) = packed
        visited.add(number)
        node = tree["nodes"][number]
        if node["kind"] == Callables.tag:
            raise CheckpointError(
                f"{node['path']} is {node['name']}, which is code, and only models keep theirs"
            )
        if _is_model(packer.object(number)):
            yield number
        else:
            todo += [part for _, part, _ in kinds[node["kind"]].parts(node, None)]


def _is_model(obj: Any) -> bool:
    return hasattr(type(obj), "_get_params")


def _clone(model: Any) -> Any:
    """Return a new object of the configuration of `model`, None if its class makes none."""
    try:
        params = model._get_params()  # noqa: SLF001 - River has no public way to ask
        # River copies a list of models with all that they have learnt.
        lists = {
            name: [_clone(part) if _is_model(part) else part for part in value]
            for name, value in params.items()
            if type(value) is list
        }
        return model.clone(lists) if lists else model.clone()
    except Exception:  # noqa: BLE001 - it is the model's own code
        return None
