"""`Exclusive` and `exclusive`: objects that several threads may use, each call alone."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import wraps
from threading import RLock
from typing import Any, Self, TypeVar, cast

Method = TypeVar("Method", bound=Callable[..., Any])


def exclusive(method: Method) -> Method:
    """Let no other thread enter an exclusive method of the same object while `method` runs.

    Examples
    --------
    >>> from fenchel_stream.estimators.exclusive import Exclusive, exclusive
    >>> class Counter(Exclusive):
    ...     count = 0
    ...
    ...     @exclusive
    ...     def increase(self) -> int:
    ...         self.count += 1
    ...         return self.count
    >>> Counter().increase()
    1
    """

    @wraps(method)
    def alone(self: Exclusive, /, *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            return method(self, *args, **kwargs)

    return cast(Method, alone)


class _Lock(type(RLock())):  # type: ignore[misc]  # its class has no public name
    """A re-entrant lock whose copy is a new one: River's `clone` copies each attribute."""

    def __reduce__(self) -> tuple[type[_Lock], tuple[()]]:
        return _Lock, ()


class _NewLock:
    """Makes the lock of an object when it is first needed.

    `Exclusive.__init__` cannot make it: copies and restored objects do not run that.
    """

    def __get__(self, obj: Exclusive, owner: Any) -> Any:
        # `setdefault` is atomic, so that two threads get one lock. From then on Python finds the
        # lock in the dict of the object, without this descriptor.
        return obj.__dict__.setdefault("_lock", _Lock())


class Exclusive:
    """Base of objects with a lock of their own, which no copy, pickle or checkpoint contains.

    What a pickle or a checkpoint gets is a copy of the state, made while no exclusive method runs.
    Otherwise they would read an object that another thread changes. For the same reason a shallow
    copy shares nothing with its original: the two have two locks.

    Examples
    --------
    >>> import copy
    >>> from fenchel_stream.estimators.exclusive import Exclusive
    >>> original = Exclusive()
    >>> original.rows = [1]
    >>> copy.copy(original).rows is original.rows
    False
    """

    _lock = _NewLock()

    def _state(self) -> dict[str, Any]:
        """Return the attributes that are state, without the lock."""
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    @exclusive
    def __getstate__(self) -> dict[str, Any]:
        return deepcopy(self._state())

    @exclusive
    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # Without this method, `deepcopy` would copy the state twice.
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied.__dict__.update(deepcopy(self._state(), memo))
        return copied
