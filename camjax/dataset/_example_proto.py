"""The picture and the label of a serialised `tf.train.Example`, read from the wire format of protocol buffers.

Of it, five messages matter, which need no compiler: Example{1: Features}, Features{1: map entry}, entry{1: key,
2: Feature}, Feature{1: BytesList, 2: FloatList, 3: Int64List}, and the lists {1: values}.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

IMAGES = ("image/encoded", "image", "image_raw", "jpeg", "png")
LABELS = ("image/class/label", "label", "class")
# No picture's file begins with the tag of field 1, a length, and the tag of field 1 again.
EXAMPLE = re.compile(rb"\x0a[\x80-\xff]{0,9}[\x00-\x7f]\x0a", re.DOTALL)


def features(data: bytes) -> tuple[bytes, int | str | None]:
    """The encoded picture and its label.

    >>> features(bytes.fromhex("0a140a120a05696d61676512090a070a05ff00ff00ff"))
    (b'\\xff\\x00\\xff\\x00\\xff', None)

    Raises:
        ValueError: the message is damaged or has no picture.
    """
    found: dict[str, bytes] = {}
    for _, example in _fields(data):
        for _, entry in _fields(example):
            parts = dict(_fields(entry))
            found[parts.get(1, b"").decode(errors="replace")] = parts.get(2, b"")
    image = next((found[name] for name in IMAGES if name in found), None)
    values = (
        [] if image is None else [value for kind, items in _fields(image) if kind == 1 for _, value in _fields(items)]
    )
    if len(values) != 1:
        raise ValueError(f"the record holds no picture; its features are {', '.join(sorted(found)) or 'none'}")
    label = next((found[name] for name in LABELS if name in found), None)
    return values[0], None if label is None else _label(label)


def _label(feature: bytes) -> int | str | None:
    for kind, items in _fields(feature):
        for _, value in _fields(items):
            if kind == 1:
                return value.decode(errors="replace")
            if kind == 3:
                return _varint(value, 0)[0]
    return None


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    # (number, content) of each field; a varint's content is its bytes.
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == 2:
            size, at = _varint(data, at)
        elif kind == 0:
            size = _varint(data, at)[1] - at
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"the record is damaged: a field of kind {kind}")
        if at + size > len(data):
            raise ValueError("the record is damaged: a field is longer than the message")
        yield tag >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("the record is damaged: a number without an end")
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
