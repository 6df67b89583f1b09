"""MNIST and CIFAR-10 from a folder: as NumPy archives or as the official files.

    mnist.npz                                        x_train, y_train, x_test, y_test
    train-images-idx3-ubyte, ... (plain or .gz)      the official IDX files of MNIST
    cifar10_train_a.npz, _train_b.npz, _test.npz     x_train, y_train; x_test, y_test
    data_batch_1.bin, ..., test_batch.bin            the official binary version of CIFAR-10

Nothing is downloaded and nothing is unpickled: CIFAR-10's "python version" is not read.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fenchel_stream.errors import DataError

Images: TypeAlias = NDArray[np.uint8]
Labels: TypeAlias = NDArray[np.int64]

IDX = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
BATCHES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))


@dataclass(frozen=True)
class Split:
    """Images (n x height x width x channels, bytes) and classes, to learn from and to judge by.

    Examples
    --------
    >>> import numpy as np
    >>> from examples.paper.data import Split
    >>> x, y = np.zeros((5, 28, 28, 1), np.uint8), np.arange(5)
    >>> inner = Split(x, y, x, y).held_out(2)
    >>> inner.y_train.tolist(), inner.y_test.tolist()
    ([0, 1, 2], [3, 4])
    """

    x_train: Images
    y_train: Labels
    x_test: Images
    y_test: Labels

    def held_out(self, count: int) -> Split:
        """Return a split of the training set alone, its last `count` images to judge by."""
        x, y = self.x_train, self.y_train
        return Split(x[:-count], y[:-count], x[-count:], y[-count:])

    def first(self, count: int) -> Split:
        """Return the split with only the first `count` training images."""
        return Split(self.x_train[:count], self.y_train[:count], self.x_test, self.y_test)


def load_mnist(folder: Path) -> Split:
    """Return the official split of MNIST.

    Raises
    ------
    DataError
        The files are missing or damaged; the message says which and what to do.
    """
    if (folder / "mnist.npz").exists():
        return _split(*_arrays(folder / "mnist.npz", "x_train", "y_train", "x_test", "y_test"))
    found = [_either(folder / name) for name in IDX]
    if None in found:
        missing = ", ".join(name for name, path in zip(IDX, found, strict=True) if path is None)
        raise DataError(
            f"no MNIST in {folder}: put mnist.npz there, or download the four IDX files of MNIST; "
            f"missing: {missing} (plain or .gz)"
        )
    return _split(*[read_idx(path) for path in found if path is not None])


def load_cifar10(folder: Path) -> Split:
    """Return the official split of CIFAR-10.

    Raises
    ------
    DataError
        The files are missing or damaged; the message says which and what to do.
    """
    if (folder / "cifar10_test.npz").exists():
        parts = [
            _arrays(folder / f"cifar10_train_{part}.npz", "x_train", "y_train") for part in "ab"
        ]
        x, y = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        x_test, y_test = _arrays(folder / "cifar10_test.npz", "x_test", "y_test")
        return _split(x, y, x_test, y_test)
    where = folder / "cifar-10-batches-bin"
    where = where if where.is_dir() else folder
    missing = [name for name in (*BATCHES, "test_batch.bin") if not (where / name).exists()]
    if missing:
        raise DataError(
            f"no CIFAR-10 in {folder}: put cifar10_train_a.npz, cifar10_train_b.npz and "
            "cifar10_test.npz there, or download the binary version of CIFAR-10 (not the python "
            f"version, whose files are pickles) and unpack it; missing: {', '.join(missing)}"
        )
    x, y = (np.concatenate(a) for a in zip(*[read_cifar(where / n) for n in BATCHES], strict=True))
    return _split(x, y, *read_cifar(where / "test_batch.bin"))


LOADERS: dict[str, Callable[[Path], Split]] = {"MNIST": load_mnist, "CIFAR-10": load_cifar10}


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Return the array of an IDX file of bytes, plain or gzip.

    Raises
    ------
    DataError
        The file is no IDX file of bytes, or its length is not what its head says.
    """
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if raw[:3] != b"\x00\x00\x08":
        raise DataError(f"{path}: not an IDX file of bytes, it begins with {raw[:4].hex()}")
    shape = np.frombuffer(raw, ">u4", raw[3], offset=4).tolist()
    start = 4 + 4 * raw[3]
    if len(raw) != start + math.prod(shape):
        raise DataError(f"{path}: its head says {shape}, but {len(raw) - start} bytes follow")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def read_cifar(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the images and classes of a file of CIFAR-10's binary version.

    Raises
    ------
    DataError
        The file is not made of records of a class and 3 x 32 x 32 bytes.
    """
    raw = np.frombuffer(path.read_bytes(), np.uint8)
    if not len(raw) or len(raw) % 3073:
        raise DataError(f"{path}: {len(raw)} bytes are no whole number of records of 3073 bytes")
    records = raw.reshape(-1, 3073)
    return records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), records[:, 0]


def _either(path: Path) -> Path | None:
    packed = path.with_name(f"{path.name}.gz")
    return next((found for found in (path, packed) if found.exists()), None)


def _arrays(path: Path, *names: str) -> list[NDArray[Any]]:
    if not path.exists():
        raise DataError(f"{path} is missing")
    with np.load(path, allow_pickle=False) as archive:
        missing = [name for name in names if name not in archive]
        if missing:
            raise DataError(f"{path} lacks {', '.join(missing)}; it has {', '.join(archive)}")
        return [archive[name] for name in names]


def _split(
    x_train: NDArray[Any], y_train: NDArray[Any], x_test: NDArray[Any], y_test: NDArray[Any]
) -> Split:
    for what, x, y in (("training", x_train, y_train), ("test", x_test, y_test)):
        if len(x) != len(y):
            raise DataError(f"there are {len(x)} {what} images and {len(y)} {what} labels")

    def images(x: NDArray[Any]) -> Images:
        return np.ascontiguousarray(x[..., None] if x.ndim == 3 else x)

    def labels(y: NDArray[Any]) -> Labels:
        return y.astype(np.int64).reshape(-1)

    return Split(images(x_train), labels(y_train), images(x_test), labels(y_test))
