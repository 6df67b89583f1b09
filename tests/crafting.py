"""Checkpoints as somebody would craft them who knows their format: changed, and sealed anew."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from base64 import b64decode, b64encode
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from fenchel_stream.checkpoint.manifest import _text

ATOMS: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 7, 624, 2**31, 2**62, -(2**63), 0.5, -1e300, "", "x", "auto",
    "float32", "cpu", "learn_one", "..", "\x00", "x" * 5000, [], [0], [-1], [2**40], ["x"], {},
    {"int": "0x" + "f" * 4000}, {"int": "-0x1"}, {"float": "000000000000f87f"}, {"str": "00d80000"},
    {"float": "000000000000f07f"}, {"float": "00"}, {"bytes": "AAAA"}, {"bytes": "?"},
    {"numpy": ["<f8", "AAAAAAAA8D8="]}, {"numpy": ["<f8", ""]}, {"numpy": ["|V9", "AAAA"]},
    {"numpy dtype": "<M8[s]"}, {"numpy dtype": "|O"}, {"numpy str": "78000000"},
    {"datetime": ["0001-01-01T00:00:00", 1, [[-1, 1, 0]]]}, {"datetime": ["x", 9, "Europe/Berlin"]},
    {"timedelta": [10**9, 0, 0]}, {"date": "9999-99-99"}, {"class": "float"}, {"class": "dict"},
    {"class": "list"}, {"class": "river.stats.mean:Mean"}, {"class": "os:system"},
    {"table of": {"class": "float"}}, {"table of": {"table of": {"class": "int"}}},
    {"method": "learn_one"}, {"function": "x"}, {"torch device": "cuda"}, {"a newer": "kind"},
)  # fmt: skip
"""Values that stand where others are expected."""

TWISTER = {"bit_generator": "MT19937", "state": {"key": [1] * 624, "pos": 600}}

NODES: tuple[dict[str, Any], ...] = (
    {"kind": "object", "class": "list", "items": [1, "x", None]},
    {"kind": "object", "class": "dict", "pairs": ["x", 1, 2, "y"]},
    {"kind": "object", "class": "dict", "pairs": ["x"]},
    {"kind": "object", "class": "set", "items": [1, 2]},
    {"kind": "object", "class": "tuple", "items": [[0]]},
    {"kind": "object", "class": "frozenset", "items": [[0]]},
    {"kind": "object", "class": "deque", "items": [1], "maxlen": -1},
    {"kind": "object", "class": "deque", "items": [1] * 50, "maxlen": 2},
    {"kind": "object", "class": "Counter", "pairs": ["x", "y"]},
    {"kind": "object", "class": "OrderedDict", "pairs": [[0], 1]},
    {"kind": "object", "class": "defaultdict", "factory": {"class": "list"}, "pairs": []},
    {"kind": "object", "class": "defaultdict", "factory": 5, "pairs": ["x", 1]},
    {"kind": "object", "class": "river.stats.mean:Mean", "attributes": {"n": 1, "_mean": "x"}},
    {"kind": "object", "class": "river.stats.var:Var", "attributes": {}},
    {"kind": "generator", "numpy": {**TWISTER, "has_gauss": 7, "gauss": "x"}},
    {"kind": "generator", "python": [3, [1] * 625, None]},
    {"kind": "generator", "python": [3, [2**40] * 625, None]},
    {"kind": "array", "numpy": "<f8", "shape": [2**40], "data": "x"},
    {"kind": "array", "torch": "float32", "shape": [1], "data": "x"},
    {"kind": "rust", "class": "river._river_rust.stats:RsMean", "new": [], "state": "AAAA"},
    {"kind": "vector dict", "class": "x", "factory": None, "pairs": [], "mask": None},
    {"kind": "callable", "path": "x", "name": "posix.system", "holds": []},
)
"""Nodes to add to a tree."""


class Crafter:
    """Changes a checkpoint at random, one to three times.

    Parameters
    ----------
    random
        Says which changes.
    """

    def __init__(self, random: Random) -> None:
        self.random = random

    def change(self, folder: Path) -> list[str]:
        """Change the checkpoint in `folder`; return what was done."""
        done: list[str] = []
        tree = json.loads((folder / "state.json").read_text())
        with np.load(folder / "arrays.npz", allow_pickle=False) as stored:
            arrays = dict(stored.items())
        manifest = json.loads((folder / "manifest.json").read_text())
        del manifest["sha256"]
        for _ in range(self.random.choice((1, 1, 1, 2, 3))):
            if self.random.random() < 0.2:
                done.append(f"manifest: {self._spot(manifest, [])}")
            else:
                done.append(self.change_state(tree, arrays))
        (folder / "state.json").write_text(json.dumps(tree))
        self._write(folder / "arrays.npz", arrays)
        if "files" in manifest and self.random.random() < 0.97:
            manifest["files"] = {name: _describe(folder / name) for name in _names(folder)}
        (folder / "manifest.json").write_bytes(_text(manifest))
        return done

    def change_state(self, tree: dict[str, Any], arrays: dict[str, Any]) -> str:
        """Change one thing in a state; return what was done."""
        if self.random.random() < 0.25:
            return self._array(tree, arrays)
        return self._tree(tree)

    def _tree(self, tree: dict[str, Any]) -> str:
        nodes = tree["nodes"]
        groups: dict[str, list[int]] = {}
        for number, node in enumerate(nodes):
            kind = node.get("class", node.get("kind")) if isinstance(node, dict) else ""
            groups.setdefault(str(kind), []).append(number)
        group = self.random.choice(sorted(groups))
        number = self.random.choice(groups[group])
        if self.random.random() < 0.05:
            other = self.random.randrange(len(nodes))
            nodes[number], nodes[other] = nodes[other], nodes[number]
            return f"nodes {number} and {other} swapped"
        node = nodes[number] if isinstance(nodes[number], dict) else {}
        if isinstance(node.get("state"), str) and self.random.random() < 0.8:
            state = bytearray(b64decode(node["state"]))
            self._bytes(state)
            node["state"] = b64encode(state).decode()
            return f"the bytes of {group}"
        return f"{group}: {self._spot(nodes[number], nodes)}"

    def _spot(self, part: Any, nodes: list[dict[str, Any]]) -> str:
        """Change one place somewhere in a JSON value."""
        random = self.random
        spots: list[tuple[Any, Any]] = []
        todo = [part] if isinstance(part, (dict, list)) else []
        while todo:
            one = todo.pop()
            keys = list(one) if isinstance(one, dict) else range(len(one))
            spots += [(one, key) for key in keys]
            todo += [one[key] for key in keys if isinstance(one[key], (dict, list))]
        if not spots:
            return "nothing"
        holder, key = random.choice(spots)
        action = random.choice(("atom", "atom", "node", "other", "drop", "twice", "nudge"))
        if action == "node":
            nodes.append(json.loads(json.dumps(random.choice(NODES))))
            holder[key] = [len(nodes) - 1]
        elif action == "other":
            other, place = random.choice(spots)
            holder[key] = json.loads(json.dumps(other[place]))
        elif action == "drop":
            del holder[key]
        elif action == "twice" and isinstance(holder, list):
            holder[key:key] = [holder[key]] * random.choice((1, 2, 1000))
        elif action == "twice":
            holder[f"{key} more"] = holder[key]
        elif action == "nudge" and type(holder[key]) in (int, float):
            holder[key] = random.choice((holder[key] + 1, holder[key] - 1, -holder[key], 2**40))
        else:
            holder[key] = json.loads(json.dumps(random.choice(ATOMS)))
        return f"{action} at {key!r}"

    def _array(self, tree: dict[str, Any], arrays: dict[str, Any]) -> str:
        if not arrays:
            return "no array"
        random = self.random
        name = random.choice(sorted(arrays))
        array = arrays[name]
        changed: list[Any] = [
            array[..., :-1] if array.ndim else array,
            np.repeat(array, 2, axis=0) if array.ndim else array,
            array.reshape(-1),
            array[None],
            np.asfortranarray(array),
            array.astype(random.choice(("f8", "f4", "c16", "i8", "i1", "?", "U9", "S3"))),
            np.zeros((0, 3)),
            np.full_like(array, random.choice((0, 1, 100))),
        ]
        if array.dtype.kind == "f":
            changed.append(np.full_like(array, random.choice((np.nan, np.inf, 1e30))))
        if array.dtype == np.uint8 and array.size:
            content = bytearray(array.tobytes())
            self._bytes(content)
            changed += [np.frombuffer(bytes(content), np.uint8)] * 9
        new = random.choice(changed)
        if random.random() < 0.1:
            del arrays[name]
            return f"no {name}"
        arrays[name] = new
        if random.random() < 0.9:
            for node in tree["nodes"]:
                if isinstance(node, dict) and node.get("data") == name:
                    node.update(numpy=new.dtype.str, shape=list(new.shape))
        return f"{name} of {new.shape} {new.dtype}"

    def _bytes(self, content: bytearray) -> None:
        for _ in range(self.random.choice((1, 1, 2, 5))):
            if content:
                at = self.random.randrange(len(content))
                width = self.random.choice((1, 1, 4, 8))
                number = self.random.choice((0, 1, 5, 9, 34, 91, 93, 255, 2**31, 2**40, 2**63 - 1))
                content[at : at + width] = (number % 256**width).to_bytes(width, "little")

    def _write(self, path: Path, arrays: dict[str, Any]) -> None:
        lie = self.random.random() < 0.05
        with zipfile.ZipFile(path, "w") as archive:
            for name, array in arrays.items():
                file = io.BytesIO()
                np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)
                content = file.getvalue()
                if lie:  # a header that promises more than there is
                    content = content.replace(b"'shape': (", b"'shape': (99999999999, ", 1)
                archive.writestr(f"{name}.npy", content)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "manifest.json")


def _describe(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
