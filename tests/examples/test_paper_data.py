"""The loaders of the paper's data: archives and official files give the same arrays."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.paper.data import IDX, Split, load_cifar10, load_mnist, read_cifar, read_idx
from fenchel_stream.errors import DataError

Arrays = dict[str, Any]


def idx(array: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    """Write an IDX file as its description has it: zeros, type, dimensions, sizes, bytes."""
    head = bytes([0, 0, 8, array.ndim])
    return head + b"".join(size.to_bytes(4, "big") for size in array.shape) + array.tobytes()


@pytest.fixture
def mnist() -> Arrays:
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(256, size=(7, 28, 28), dtype=np.uint8),
        "y_train": rng.integers(10, size=7, dtype=np.uint8),
        "x_test": rng.integers(256, size=(3, 28, 28), dtype=np.uint8),
        "y_test": rng.integers(10, size=3, dtype=np.uint8),
    }


@pytest.fixture
def cifar() -> Arrays:
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(256, size=(10, 32, 32, 3), dtype=np.uint8),
        "y_train": rng.integers(10, size=10, dtype=np.uint8),
        "x_test": rng.integers(256, size=(4, 32, 32, 3), dtype=np.uint8),
        "y_test": rng.integers(10, size=4, dtype=np.uint8),
    }


def write_cifar(folder: Path, arrays: Arrays) -> None:
    """Write the binary version: class, then all red, all green and all blue pixels."""
    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        planes = x.transpose(0, 3, 1, 2).reshape(len(x), -1)
        records = np.concatenate([y[:, None], planes], axis=1)
        if part == "test":
            (folder / "test_batch.bin").write_bytes(records.tobytes())
            continue
        for number in range(5):
            cut = records[2 * number : 2 * number + 2]
            (folder / f"data_batch_{number + 1}.bin").write_bytes(cut.tobytes())


def check(split: Split, arrays: Arrays) -> None:
    for name, expected in arrays.items():
        found = getattr(split, name)
        np.testing.assert_array_equal(found.reshape(expected.shape), expected)
        assert found.ndim == (4 if name.startswith("x") else 1)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_mnist_comes_from_an_archive_or_from_idx_files(
    suffix: str, mnist: Arrays, tmp_path: Path
) -> None:
    for name, array in zip(IDX, mnist.values(), strict=True):
        raw = gzip.compress(idx(array)) if suffix else idx(array)
        (tmp_path / f"{name}{suffix}").write_bytes(raw)
    check(load_mnist(tmp_path), mnist)
    np.savez(tmp_path / "mnist.npz", **mnist)
    for name in IDX:
        (tmp_path / f"{name}{suffix}").unlink()
    check(load_mnist(tmp_path), mnist)


@pytest.mark.parametrize("inner", ["", "cifar-10-batches-bin"])
def test_cifar_comes_from_archives_or_from_the_binary_version(
    inner: str, cifar: Arrays, tmp_path: Path
) -> None:
    (tmp_path / inner).mkdir(exist_ok=True)
    write_cifar(tmp_path / inner, cifar)
    check(load_cifar10(tmp_path), cifar)
    halves = {"a": slice(0, 6), "b": slice(6, None)}
    for part, rows in halves.items():
        cut: Arrays = {name: cifar[name][rows] for name in ("x_train", "y_train")}
        np.savez(tmp_path / f"cifar10_train_{part}.npz", **cut)
    test: Arrays = {name: cifar[name] for name in ("x_test", "y_test")}
    np.savez(tmp_path / "cifar10_test.npz", **test)
    check(load_cifar10(tmp_path), cifar)


@pytest.mark.parametrize("load", [load_mnist, load_cifar10])
def test_nothing_there_says_what_to_download(load: Callable[[Path], Split], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"download .*; missing: \w+") as caught:
        load(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_pickles_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "data_batch_1").write_bytes(b"\x80\x04.")
    with pytest.raises(DataError, match=r"binary version .*\(not the python"):
        load_cifar10(tmp_path)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\x89PNG", "not an IDX file of bytes, it begins with 89504e47"),
        (idx(np.zeros((2, 3), np.uint8))[:-1], r"its head says \[2, 3\], but 5 bytes follow"),
    ],
)
def test_a_damaged_idx_file_is_named(raw: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / IDX[0]
    path.write_bytes(raw)
    with pytest.raises(DataError, match=f"{IDX[0]}: {message}"):
        read_idx(path)


def test_a_cut_cifar_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "test_batch.bin"
    path.write_bytes(bytes(3072))
    with pytest.raises(DataError, match=r"test_batch.bin: 3072 bytes are no whole number"):
        read_cifar(path)


def test_half_of_the_training_set_is_not_enough(cifar: Arrays, tmp_path: Path) -> None:
    np.savez(tmp_path / "cifar10_test.npz", x_test=cifar["x_test"], y_test=cifar["y_test"])
    with pytest.raises(DataError, match=r"cifar10_train_a.npz is missing"):
        load_cifar10(tmp_path)


def test_real_mnist_has_its_known_counts(shared_data: Path) -> None:
    split = load_mnist(shared_data)
    assert split.x_train.shape == (60000, 28, 28, 1)
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(split.y_train).tolist() == counts
    inner = split.held_out(10_000)
    np.testing.assert_array_equal(inner.x_test, split.x_train[50_000:])
    assert len(inner.y_train) == 50_000
