"""The bytes of a code file: a signature, a header, and chunks with their lengths and checksums.

``docs/concepts/shape-codes.md`` has the layout byte by byte. Nothing here knows what a chunk means.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any, BinaryIO

from ..errors import FileFormatError, problem

SIGNATURE = b"\x89GSC\r\n\x1a\n"
VERSION = 1
#: No header is longer.
LONGEST_HEADER = 1 << 16
_HEAD, _CHUNK, _CRC = struct.Struct("<HHI"), struct.Struct("<4sBBHII"), struct.Struct("<I")
_STORED, _DEFLATE = 0, 1


class Writer:
    """Puts a header and chunks into a binary stream."""

    def __init__(self, stream: BinaryIO, header: dict[str, Any]) -> None:
        content = json.dumps(header, allow_nan=False, separators=(",", ":")).encode()
        head = _HEAD.pack(VERSION, 0, len(content))
        stream.write(SIGNATURE + head + _CRC.pack(zlib.crc32(head + content)) + content)
        self.stream = stream

    def chunk(self, kind: str, level: int, content: bytes) -> None:
        """Write one chunk, packed where that makes it smaller."""
        packing, packed = min([(_STORED, content), (_DEFLATE, deflated(content))], key=lambda pair: len(pair[1]))
        head = _CHUNK.pack(kind.encode(), level, packing, 0, len(packed), len(content))
        self.stream.write(head + _CRC.pack(zlib.crc32(head + packed)) + packed)


class Reader:
    """Takes a header and chunks from a binary stream, in the order they were written, and no byte more than is asked for.

    Raises
    ------
    FileFormatError : another kind of file, a later version, a file that ends early, a checksum that does not fit.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.stream, self.name = stream, name
        start = stream.read(len(SIGNATURE))
        if start != SIGNATURE:
            raise self.error("a shape code (.gsc)", "an empty file" if not start else "another kind of file")
        head = self._read(_HEAD.size, "header")
        version, zero, length = _HEAD.unpack(head)
        (crc,) = _CRC.unpack(self._read(_CRC.size, "header"))
        if version > VERSION:
            raise self.error(f"version {VERSION} of the format or older", f"version {version}", "a newer geospec may read it")
        if version < 1 or zero or length > LONGEST_HEADER:
            raise self.error("a sound header", f"version {version}, {length} bytes long")
        content = self._read(length, "header")
        if zlib.crc32(head + content) != crc:
            raise self.error("a sound header", "one whose checksum does not fit", "the file is damaged")
        try:
            self.header = json.loads(content)
        except (ValueError, RecursionError) as cause:
            raise self.error("a header in JSON", str(cause)) from cause

    def chunk(self, kind: str, level: int, length: int) -> bytes:
        """The content of the next chunk, which must be of this kind and level and unpack to so many bytes."""
        what = f"chunk {kind} of level {level}"
        head = self._read(_CHUNK.size, what)
        (crc,) = _CRC.unpack(self._read(_CRC.size, what))
        found, at, packing, zero, packed_length, unpacked_length = _CHUNK.unpack(head)
        if (found, at, zero) != (kind.encode(), level, 0) or packing not in (_STORED, _DEFLATE):
            raise self.error(what, f"{found!r} of level {at}, packing {packing}", "the file is damaged")
        if unpacked_length != length or packed_length > length:
            raise self.error(f"{what} of {length} bytes", f"{unpacked_length}, packed to {packed_length}", "the file is damaged")
        packed = self._read(packed_length, what)
        if zlib.crc32(head + packed) != crc:
            raise self.error(what, "a checksum that does not fit", "the file is damaged")
        return self._inflated(packed, length, what) if packing == _DEFLATE else packed

    def end(self) -> None:
        """Refuse what follows."""
        if self.stream.read(1):
            raise self.error("an end after the last chunk", "more bytes", "the file is damaged")

    def error(self, wanted: str, got: str, hint: str = "") -> FileFormatError:
        """What is the matter with the file, as an exception to raise."""
        return FileFormatError(problem(self.name, wanted, got, hint))

    def _read(self, length: int, what: str) -> bytes:
        content = self.stream.read(length)
        if len(content) != length:
            raise self.error(f"{length} bytes of {what}", f"{len(content)}", "the file ends early")
        return content

    def _inflated(self, packed: bytes, length: int, what: str) -> bytes:
        """Unpacked, but never to more than ``length`` bytes."""
        machine = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            content = machine.decompress(packed, length + 1)
        except zlib.error as cause:
            raise self.error(f"{what}, packed by deflate", str(cause)) from cause
        if len(content) != length or not machine.eof or machine.unused_data:
            raise self.error(f"{what} of {length} bytes", "more, fewer, or an end that is missing")
        return content


def deflated(content: bytes) -> bytes:
    """Packed by deflate: the shortest of Huffman codes alone, of runs, and of matches."""
    return min((_deflated(content, strategy) for strategy in (zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_DEFAULT_STRATEGY)), key=len)


def _deflated(content: bytes, strategy: int) -> bytes:
    machine = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS, 9, strategy)
    return machine.compress(content) + machine.flush()
