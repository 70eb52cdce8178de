"""Reads the tensors of a `.pth` file without running a pickle (docs/decisions/0033).

`torch.save` writes a pickle, which may call any function. Here its opcodes are walked through, and
only those that build a state dict are understood: names, tensors and dicts of them.
"""

from __future__ import annotations

import math
import pickletools
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from trailergenre.base.errors import one_line

_MAX_PICKLE_BYTES = 16 << 20
"""Largest pickle; that of Inception-V3, without its tensors' data, has 60 KB."""
_MAGIC = 0x1950A86A20F9469CFC6C
"""First pickle of a file of torch before 1.6, which is no zip file."""
_ZIP = b"PK\x03\x04"
_ADVICE = "Save the state dict alone: torch.save(model.float().state_dict(), PATH)"

_DTYPES: dict[str, np.dtype[np.generic]] = {
    "torch FloatStorage": np.dtype("<f4"),
    "torch DoubleStorage": np.dtype("<f8"),
    "torch HalfStorage": np.dtype("<f2"),
    "torch LongStorage": np.dtype("<i8"),
    "torch IntStorage": np.dtype("<i4"),
}
_DICT = "collections OrderedDict"
_TENSOR = "torch._utils _rebuild_tensor_v2"
_PARAMETER = "torch._utils _rebuild_parameter"
_GLOBALS = frozenset({_DICT, _TENSOR, _PARAMETER, *_DTYPES})

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_VALUES = (
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "SHORT_BINBYTES"),
)
_WITHOUT_EFFECT = ("PROTO", "FRAME", "STOP")

Tensors = dict[str, NDArray[np.generic]]
T = TypeVar("T")


class _Global(NamedTuple):
    name: str  # "module name", one of _GLOBALS


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype[np.generic]
    n_items: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int  # in items
    shape: tuple[int, ...]
    stride: tuple[int, ...]


_MARK = object()


def read_torch_file(path: Path) -> Tensors:
    """Read the state dict in a file of `torch.save`, by name.

    A ValueError says what the file holds besides, or how it is damaged.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(4)
            stream.seek(0)
            return _read_zip(stream) if start == _ZIP else _read_legacy(stream)
    except ValueError as error:
        raise ValueError(f"{error}. {_ADVICE}") from error


def _read_zip(stream: BinaryIO) -> Tensors:
    try:
        with zipfile.ZipFile(stream) as archive:
            members = {member.filename: member for member in archive.infolist()}
            (root,) = (name[: -len("data.pkl")] for name in members if name.endswith("data.pkl"))
            pickle = members[f"{root}data.pkl"]
            if pickle.file_size > _MAX_PICKLE_BYTES:
                raise ValueError(f"its data.pkl has more than {_MAX_PICKLE_BYTES} bytes")
            order = members.get(f"{root}byteorder")
            if order and order.file_size < 10 and archive.read(order) != b"little":
                raise ValueError("its numbers are big-endian")

            def read_storage(storage: _Storage) -> bytes:
                member = members[f"{root}data/{storage.key}"]
                # Stored without compression: never more bytes than the file has.
                if member.compress_type != zipfile.ZIP_STORED:
                    raise ValueError("its tensors are compressed")
                return archive.read(member)

            with archive.open(pickle) as file:
                state = _walk(file, _storage_of_zip)
            return _tensors(state, read_storage)
    except (zipfile.BadZipFile, KeyError, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"it is truncated or damaged: {one_line(str(error))}") from error


def _read_legacy(stream: BinaryIO) -> Tensors:
    """Magic number, protocol, system, state dict, storage keys; then the storages' data."""
    try:
        if _walk(stream, _storage_of_legacy) != _MAGIC:
            raise ValueError("it is a pickle, but no file of torch.save")
        _walk(stream, _storage_of_legacy)
        _walk(stream, _storage_of_legacy)
        state = _walk(stream, _storage_of_legacy)
        keys = _walk(stream, _storage_of_legacy)
    except EOFError as error:
        raise ValueError("it is truncated") from error
    storages = {tensor.storage.key: tensor.storage for tensor in _state_dict(state).values()}
    data: dict[str, bytes] = {}
    for key in keys if isinstance(keys, list) else []:
        # A storage that no tensor uses has an unknown width, and cannot be passed over.
        if key not in storages:
            raise ValueError(f"no tensor uses its storage {key!r}")
        storage = storages[key]
        if int.from_bytes(stream.read(8), "little") != storage.n_items:
            raise ValueError(f"it is truncated: the data of storage {key!r} is incomplete")
        data[key] = stream.read(storage.n_items * storage.dtype.itemsize)
    return _tensors(state, lambda storage: data.get(storage.key, b""))


def _storage_of_zip(values: tuple[object, ...]) -> _Storage:
    match values:
        case ("storage", _Global(name), str(key), _, int(n_items)) if name in _DTYPES:
            return _Storage(key, _DTYPES[name], n_items)
    raise ValueError(f"it refers to {one_line(str(values), 80)}, which is no tensor")


def _storage_of_legacy(values: tuple[object, ...]) -> _Storage:
    if len(values) != 6 or values[5] is not None:
        raise ValueError(f"it refers to {one_line(str(values), 80)}, which is no tensor")
    return _storage_of_zip(values[:5])


def _tensors(state: object, read_storage: Callable[[_Storage], bytes]) -> Tensors:
    read: dict[str, bytes] = {}
    arrays: Tensors = {}
    for name, tensor in _state_dict(state).items():
        storage = tensor.storage
        if storage.key not in read:
            read[storage.key] = read_storage(storage)
        items = np.frombuffer(read[storage.key], storage.dtype)
        if len(items) != storage.n_items:
            raise ValueError(f"it is truncated: the data of {name} is incomplete")
        arrays[name] = _view(name, items, tensor)
    return arrays


def _view(name: str, items: NDArray[np.generic], tensor: _Tensor) -> NDArray[np.generic]:
    """The tensor's part of its storage, as a copy in C order."""
    shape, stride = tensor.shape, tensor.stride
    numbers = (*shape, *stride, tensor.offset)
    if len(shape) != len(stride) or len(shape) > 8 or any(number < 0 for number in numbers):
        raise ValueError(f"the shape of {name} is damaged")
    size = math.prod(shape)
    last = tensor.offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
    # More items than the storage has would be one item many times.
    if size > len(items) or (size and last >= len(items)):
        raise ValueError(f"{name} is larger than its data")
    part = items[tensor.offset :]
    steps = tuple(step * items.itemsize for step in stride)
    return np.array(np.lib.stride_tricks.as_strided(part, shape, steps, writeable=False), order="C")


def _state_dict(state: object) -> dict[str, _Tensor]:
    if not isinstance(state, dict) or not state:
        raise ValueError(f"it holds a {type(state).__name__}, not a state dict")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, _Tensor):
            raise ValueError(
                f"it holds {one_line(str(name), 40)!r}, which is no tensor, besides or in place of "
                "a state dict"
            )
    return state


def _walk(stream: IO[bytes], to_storage: Callable[[tuple[object, ...]], _Storage]) -> object:
    """Build what a pickle describes, up to its STOP; a ValueError for all but a state dict."""
    start = stream.tell()
    try:
        builder = _Builder(to_storage)
        for code, argument, place in pickletools.genops(stream):
            if (place or 0) - start > _MAX_PICKLE_BYTES:
                raise ValueError(f"its pickle has more than {_MAX_PICKLE_BYTES} bytes")
            builder.take(code.name, argument)
        return builder.result()
    except (IndexError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"its pickle is damaged: {type(error).__name__}") from error


class _Builder:
    """The stack of a pickle. Calls no function but this module's own."""

    def __init__(self, to_storage: Callable[[tuple[object, ...]], _Storage]) -> None:
        self._to_storage = to_storage
        self._stack: list[object] = []
        self._memo: dict[object, object] = {}
        push, pop, marked = self._stack.append, self._pop, self._pop_marked
        self._steps: dict[str, Callable[[object], None]] = {
            **{code: lambda _: None for code in _WITHOUT_EFFECT},
            **dict.fromkeys(_VALUES, push),
            **{code: partial(self._push_constant, value) for code, value in _CONSTANTS.items()},
            "MARK": lambda _: push(_MARK),
            "BINPUT": self._remember,
            "LONG_BINPUT": self._remember,
            "MEMOIZE": lambda _: self._remember(len(self._memo)),
            "BINGET": lambda place: push(self._memo[place]),
            "LONG_BINGET": lambda place: push(self._memo[place]),
            "TUPLE": lambda _: push(tuple(marked())),
            "TUPLE1": lambda _: push(tuple(pop(1))),
            "TUPLE2": lambda _: push(tuple(pop(2))),
            "TUPLE3": lambda _: push(tuple(pop(3))),
            "EMPTY_LIST": lambda _: push([]),
            "APPEND": lambda _: self._extend(pop(1)),
            "APPENDS": lambda _: self._extend(marked()),
            "EMPTY_DICT": lambda _: push({}),
            "SETITEM": lambda _: self._set(pop(2)),
            "SETITEMS": lambda _: self._set(marked()),
            "GLOBAL": lambda name: push(_known(str(name))),
            "STACK_GLOBAL": lambda _: push(_known(" ".join(_as(str, part) for part in pop(2)))),
            "BINPERSID": lambda _: push(self._to_storage(_as(tuple, *pop(1)))),
            "REDUCE": lambda _: push(_call(*pop(2))),
            # A state dict's attribute `_metadata`, the versions of its modules, is passed over.
            "BUILD": lambda _: self._set([*pop(1)][1:]),
        }

    def result(self) -> object:
        """The one value that is left."""
        (value,) = self._stack
        return value

    def take(self, code: str, argument: object) -> None:
        """Carry out one opcode."""
        if code not in self._steps:
            raise ValueError(f"its pickle has an opcode {code}, which no state dict needs")
        self._steps[code](argument)

    def _push_constant(self, value: object, _: object) -> None:
        self._stack.append(value)

    def _remember(self, place: object) -> None:
        self._memo[place] = self._stack[-1]

    def _pop(self, n: int) -> list[object]:
        values = self._stack[-n:]
        if len(values) < n:
            raise IndexError
        del self._stack[-n:]
        return values

    def _pop_marked(self) -> list[object]:
        place = len(self._stack) - 1
        while self._stack[place] is not _MARK:
            place -= 1
            if place < 0:
                raise IndexError
        values = self._stack[place + 1 :]
        del self._stack[place:]
        return values

    def _extend(self, values: list[object]) -> None:
        _as(list, self._stack[-1]).extend(values)

    def _set(self, values: list[object]) -> None:
        _as(dict, self._stack[-1]).update(zip(values[::2], values[1::2], strict=True))


def _known(name: str) -> _Global:
    if name.startswith("torch ") and name.endswith("Storage") and name not in _GLOBALS:
        raise ValueError(f"it has tensors of {one_line(name, 80)}, weights must be float32")
    if name not in _GLOBALS:
        raise ValueError(f"its pickle refers to {one_line(name, 80)}, and nothing of it is run")
    return _Global(name)


def _call(function: object, arguments: object) -> object:
    name = _as(_Global, function).name
    match name, arguments:
        case "collections OrderedDict", ():
            return {}
        case (
            "torch._utils _rebuild_tensor_v2",
            (_Storage() as storage, int(offset), tuple(shape), tuple(stride), *_),
        ):
            return _Tensor(storage, offset, _integers(shape), _integers(stride))
        case "torch._utils _rebuild_parameter", (_Tensor() as tensor, *_):
            return tensor
    raise ValueError(f"its pickle calls {name} in another way than torch.save")


def _integers(values: tuple[object, ...]) -> tuple[int, ...]:
    return tuple(_as(int, value) for value in values)


def _as(kind: type[T], value: object) -> T:
    if not isinstance(value, kind):
        raise TypeError
    return value
