"""The bytes of an ONNX file to the domains whose operators it uses, before anything loads it.

Reads the Protocol Buffers encoding itself, as the package `onnx` is a large dependency for one
question. Source: onnx.proto3 for the numbers of the fields.
"""

from __future__ import annotations

from collections.abc import Iterator

_MODEL_GRAPH = 7
_MODEL_FUNCTIONS = 25
_GRAPH_NODE = 1
_NODE_ATTRIBUTE = 5
_NODE_DOMAIN = 7
_ATTRIBUTE_GRAPHS = (6, 11)
_MAX_DEPTH = 8
"""Graphs within graphs; a recurrent head has one loop."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10


def find_domains(model: bytes) -> set[str]:
    """Collect the domain of every operator, in graphs within graphs too.

    Raises:
        ValueError: it is no ONNX file, defines functions of its own or is nested too deep.
    """
    domains: set[str] = set()
    for number, value in _fields(memoryview(model)):
        if number == _MODEL_FUNCTIONS:
            raise ValueError("it defines functions of its own")
        if number == _MODEL_GRAPH:
            domains |= _of_graph(value, _MAX_DEPTH)
    return domains


def _of_graph(graph: memoryview, depth: int) -> set[str]:
    if not depth:
        raise ValueError(f"it has more than {_MAX_DEPTH} graphs within each other")
    domains: set[str] = set()
    for node in (value for number, value in _fields(graph) if number == _GRAPH_NODE):
        domain = ""
        for number, value in _fields(node):
            if number == _NODE_DOMAIN:
                domain = str(value, "utf-8")
            elif number == _NODE_ATTRIBUTE:
                for inner, content in _fields(value):
                    if inner in _ATTRIBUTE_GRAPHS:
                        domains |= _of_graph(content, depth - 1)
        domains.add(domain)
    return domains


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Give number and content of a message's fields that hold bytes."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        if kind == _BYTES:
            length, place = _varint(message, place)
            if place + length > len(message):
                raise ValueError("it is cut")
            yield key >> 3, message[place : place + length]
            place += length
        elif kind == _VARINT:
            _, place = _varint(message, place)
        elif kind in (_FIXED64, _FIXED32):
            place += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError("it is not an ONNX file")


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """A number in groups of seven bits, and where it ends."""
    value = 0
    for count, byte in enumerate(message[place : place + _MAX_VARINT_BYTES]):
        value |= (byte & 127) << (7 * count)
        if byte < 128:
            return value, place + count + 1
    raise ValueError("it is not an ONNX file")
