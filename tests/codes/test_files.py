"""Code files: what comes back, what is measured, and bytes that are not to be trusted."""

import contextlib
import dataclasses
import errno
import io
import json
import math
import struct
import zlib

import numpy as np
import pytest
import torch

import geospec
from geospec import ArgumentError, FileFormatError, ShapeCode
from geospec.codes import PRESETS, container, inside_iou

LOSSY = [preset for preset, steps in PRESETS.items() if steps]


def written(code, preset="near-lossless"):
    stream = io.BytesIO()
    code.save(stream, preset)
    return stream.getvalue()


def read(data, level=0):
    return ShapeCode.load(io.BytesIO(data), level)


@pytest.fixture(scope="module")
def file(code):
    return written(code)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_lossless_keeps_every_bit(code, deep, dtype):
    for one in (code.to(dtype=dtype), deep.to(dtype=dtype)):
        back = read(written(one, "lossless"))
        for name in ("coarse", "index", "values", "offsets"):
            assert torch.equal(getattr(back.code, name), getattr(one.code, name)), name
        assert back.code.coarse.dtype == dtype
        for name in ("shape", "lower", "spacing", "dtype"):
            assert getattr(back.grid, name) == getattr(one.grid, name), name
        assert (back.truncation, back.tree.options) == (one.truncation, one.tree.options)


@pytest.mark.parametrize("preset", LOSSY)
def test_rounded_coefficients(code, deep, preset):
    """Each differs by half a step at most, by the ring of its tree; what is told of the field is what is measured here."""
    steps = PRESETS[preset]
    for one in (code, deep):
        stream = io.BytesIO()
        loss = one.save(stream, preset)
        back = read(stream.getvalue())
        error = (back.pack() - one.pack()).abs()
        assert float(error[0].max()) <= steps[0] / 2
        assert steps[0] / 2 < float(error.max()) <= steps[2] / 2
        ring = torch.from_numpy(geospec.codes.coding.rings(back.code.coarse[0].numpy())).long().reshape(error.shape[1:])
        assert float((error.amax(dim=0) / torch.tensor(steps)[ring]).max()) <= 0.5 * (1 + 1e-6)
        gap = (back.field().values - one.field().values).abs()
        assert loss.field == pytest.approx(float(gap.max()), rel=1e-5)
        near = one.field().values.abs() <= 2 * max(one.grid.spacing)
        assert loss.surface == pytest.approx(float(gap[near].max()), rel=1e-5)
        assert loss.iou == inside_iou(one.field().values, back.field().values)


def test_near_lossless_is_small_and_near(mesh, code, file):
    """Four times smaller than float16 arrays and their cells, at the same overlap with the exact field."""
    exact = geospec.codes.field_in_box(mesh, 64).values
    before, after = (inside_iou(exact, one.field().values) for one in (code, read(file)))
    assert abs(after - before) <= 1e-4
    assert len(file) * 4 < 2 * code.n_numbers + 4 * code.k
    sizes = [len(written(code, preset)) for preset in PRESETS]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("preset", PRESETS)
def test_writing_again_changes_nothing(code, preset):
    once = written(code, preset)
    twice = read(once)
    again = read(written(twice, preset))
    assert torch.equal(again.pack(), twice.pack())


def test_rings_by_brute_force():
    cells = np.random.default_rng(3).choice([-1, 1], size=(9, 8, 7), p=[0.02, 0.98])
    found = geospec.codes.coding.rings(cells).reshape(cells.shape)
    for place in np.ndindex(cells.shape):
        around = [cells[tuple(slice(max(p - r, 0), p + r + 1) for p in place)] for r in (1, 2)]
        expected = 0 if len(np.unique(around[0])) > 1 else 1 if len(np.unique(around[1])) > 1 else 2
        assert found[place] == expected


class Counted(io.BytesIO):
    def __init__(self, data):
        super().__init__(data)
        self.taken = 0

    def read(self, size=-1):
        data = super().read(size)
        self.taken += len(data)
        return data


@pytest.mark.parametrize("preset", ["near-lossless", "lossless"])
def test_coarse_levels_read_only_the_first_bytes(deep, preset):
    """The mesh of a level is the same whether all was read or only what it needs; the rest of the file may be missing."""
    data = written(deep, preset)
    whole, taken = read(data), []
    for level in range(4):
        stream = Counted(data)
        part = ShapeCode.load(stream, level)
        taken.append(stream.taken)
        assert torch.equal(part.field(level).values, whole.field(level).values)
        assert torch.equal(read(data[: stream.taken], level).pack(), part.pack())
        assert torch.equal(read(written(part, "lossless")).pack(), part.pack())  # a part can be written again
    assert taken[0] == len(data)
    assert taken == sorted(taken, reverse=True)
    assert taken[3] < 0.2 * taken[0]
    for level in (-1, 4):
        with pytest.raises(ArgumentError, match="level: wanted 0 to 3"):
            read(data, level)


def test_paths_and_streams_hold_the_same(code, file, tmp_path):
    loss = code.save(tmp_path / "a.gsc")
    assert (tmp_path / "a.gsc").read_bytes() == file
    assert torch.equal(ShapeCode.load(tmp_path / "a.gsc").pack(), read(file).pack())
    assert loss.iou > 0.999
    with pytest.raises(FileNotFoundError):
        ShapeCode.load(tmp_path / "none.gsc")
    with pytest.raises(ArgumentError, match="preset: wanted one of 'lossless', 'near-lossless'"):
        code.save(tmp_path / "b.gsc", "small")
    assert [path.name for path in tmp_path.iterdir()] == ["a.gsc"]


def test_codes_without_trees_or_inside(code):
    """Every count may be zero."""
    none = ShapeCode.unpack(torch.zeros_like(code.pack()), like=code)
    for preset in PRESETS:
        back = read(written(none, preset))
        assert back.k == 0
        assert torch.equal(back.pack(), none.pack())


def test_what_cannot_be_rounded(code):
    huge = ShapeCode.unpack(code.pack() * 1e9, like=code)
    with pytest.raises(ArgumentError, match="use the preset 'lossless'"):
        huge.save(io.BytesIO())
    nan = code.pack()
    nan[0, 0, 0, 0] = math.nan
    with pytest.raises(ArgumentError, match="got nan"):
        ShapeCode.unpack(nan, like=code).save(io.BytesIO())


def test_a_full_disk_leaves_nothing(code, tmp_path, monkeypatch):
    (tmp_path / "a.gsc").write_bytes(b"older")
    chunk = container.Writer.chunk

    def full(self, kind, level, content):
        if kind == "vals":
            raise OSError(errno.ENOSPC, "No space left on device")
        chunk(self, kind, level, content)

    monkeypatch.setattr(container.Writer, "chunk", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        code.save(tmp_path / "a.gsc")
    assert caught.value.filename == str(tmp_path / "a.gsc")
    assert [path.name for path in tmp_path.iterdir()] == ["a.gsc"]
    assert (tmp_path / "a.gsc").read_bytes() == b"older"


# -- bytes that are not to be trusted


def test_foreign_and_later_files(file):
    for data, message in (
        (b"", "got an empty file"),
        (b"ply\nformat ascii 1.0\n", "another kind of file"),
        (file[:5], "another kind of file"),
        (file.replace(b"\r\n", b"\n", 1), "another kind of file"),  # sent as text
        (file[:8] + struct.pack("<H", 2) + file[10:], "version 2; a newer geospec may read it"),
    ):
        with pytest.raises(FileFormatError, match=message):
            read(data)


def test_every_cut_is_noticed(file):
    for end in [*range(8, 40), *range(40, len(file), len(file) // 150), len(file) - 1]:
        with pytest.raises(FileFormatError, match="ends early"):
            read(file[:end])


def test_every_flipped_byte_is_noticed(file):
    random = np.random.default_rng(0)
    head = 20 + struct.unpack("<I", file[12:16])[0]
    for place in [*range(0, head, 3), *random.integers(head, len(file), 300)]:
        damaged = bytearray(file)
        damaged[place] ^= 1 << random.integers(8)
        with pytest.raises(FileFormatError):
            read(bytes(damaged))


def forged(file, change):
    """The file with another header, whose checksum fits."""
    length = struct.unpack("<I", file[12:16])[0]
    header = json.loads(file[20 : 20 + length])
    change(header)
    content = json.dumps(header).encode()
    head = struct.pack("<HHI", 1, 0, len(content))
    return file[:8] + head + struct.pack("<I", zlib.crc32(head + content)) + content + file[20 + length :]


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("shape", [10_000] * 3),
        ("shape", [0, 64, 64]),
        ("shape", [64, 64]),
        ("shape", [64, 64, 1 << 40]),
        ("shape", [1290, 1290, 1290]),
        ("shape", "64"),
        ("lower", [0, 0, math.inf]),
        ("spacing", [1, 1, -1]),
        ("truncation", math.nan),
        ("truncation", True),
        ("dtype", "object"),
        ("coefficients", ["float32"]),
        ("wavelet", "__import__"),
        ("mode", 3),
        ("levels", 29),
        ("levels", 11),
        ("steps", [1e308] * 3),
        ("steps", [1e-310] * 3),
        ("lower", [1e308, 0, 0]),
        ("spacing", [1e308] * 3),
        ("spacing", [1e-300] * 3),
        ("truncation", 1e308),
        ("levels", 10**30),
        ("drop_finest", 2),
        ("trees", 10**9),
        ("steps", [1, 2]),
        ("steps", None),
        ("saturated", -1),
        ("loss", [0, 0, 1]),
        ("loss", {"field": 0.0, "surface": "0", "iou": None}),
        ("loss", {"field": 0.0, "surface": 0.0}),
    ],
)
def test_forged_headers(file, entry, value):
    with pytest.raises(FileFormatError):
        read(forged(file, lambda header: header.update({entry: value})))


def test_headers_are_checked_before_a_byte_is_written(code, tmp_path):
    """What is saved can be read: a truncation far beyond the box tells nothing, lengths that files do not hold are refused."""
    for far in (1e6, 1e9, 1e24):
        field = geospec.DistanceField(code.field().values, code.grid, far)
        for preset in PRESETS:
            back = read(written(geospec.encode(field), preset))
            assert back.truncation == far
            assert inside_iou(field.values, back.field().values) > 0.95
    (tmp_path / "a.gsc").write_bytes(b"older")
    for entry, change in (
        ("truncation", {"truncation": 1e30}),
        ("truncation", {"truncation": math.inf}),
        ("spacing", {"grid": geospec.Grid(code.grid.shape, (0, 0, 0), (1e-30,) * 3)}),
    ):
        for preset in ("lossless", "tiny"):
            with pytest.raises(ArgumentError, match=f"{entry}: wanted .* 2.80, got .*no file can hold it"):
                dataclasses.replace(code, **change).save(tmp_path / "a.gsc", preset)
    assert [path.name for path in tmp_path.iterdir()] == ["a.gsc"]
    assert (tmp_path / "a.gsc").read_bytes() == b"older"


def test_iou_of_nothing_is_none(code):
    none = ShapeCode.unpack(torch.zeros_like(code.pack()), like=code)
    assert math.isnan(inside_iou(none.field().values, none.field().values))
    stream = io.BytesIO()
    assert none.save(stream).iou is None
    assert b'"iou":null' in stream.getvalue()


def test_files_end_after_the_last_chunk(file, tmp_path):
    """In a stream something else may follow; a part of a file may be read all the same."""
    (tmp_path / "a.gsc").write_bytes(file + b"x")
    with pytest.raises(FileFormatError, match=r"a.gsc: wanted an end after the last chunk, got more bytes"):
        ShapeCode.load(tmp_path / "a.gsc")
    assert ShapeCode.load(tmp_path / "a.gsc", 2).k == 0
    assert torch.equal(read(file + b"x").pack(), read(file).pack())


def test_the_header_alone(file, tmp_path):
    (tmp_path / "a.gsc").write_bytes(file[:1000])
    said = geospec.codes.files.read_header(tmp_path / "a.gsc")
    assert (said["shape"], said["preset"], said["loss"]["iou"]) == ([64] * 3, "near-lossless", pytest.approx(1, abs=1e-3))
    (tmp_path / "a.gsc").write_bytes(forged(file, lambda header: header.update(levels=0)))
    with pytest.raises(FileFormatError, match="a.gsc: wanted levels: 1 to 10, got 0"):
        geospec.codes.files.read_header(tmp_path / "a.gsc")


def test_deep_trees_of_a_small_file(deep):
    """Ten levels of no tree, as a header may say, are read, or refused as a file that is not sound."""
    none = written(ShapeCode.unpack(torch.zeros_like(deep.pack()), like=deep))
    read_levels = set()
    for levels in range(1, 11):
        try:
            code = read(forged(none, lambda header, levels=levels: header.update(levels=levels, drop_finest=0)))
        except FileFormatError:
            continue
        assert (code.tree.levels, code.k) == (levels, 0)
        read_levels.add(levels)
    assert deep.tree.levels in read_levels
    assert 10 not in read_levels


def test_a_bad_token_names_the_file(file):
    place, _ = list(chunks(file))[1]
    length = struct.unpack("<I", file[place + 12 : place + 16])[0]
    with pytest.raises(FileFormatError, match=r"stream: wanted sound numbers, got token: wanted at most 227, got 255"):
        read(with_chunk(file, 1, b"\xff" * length, 0, length))


def test_grids_that_padding_makes_huge(file):
    """A thin grid whose coefficients would be many times its cells."""
    with pytest.raises(FileFormatError, match="coefficients a level"):
        read(forged(file, lambda header: header.update(shape=[1, 1, 1 << 28])))


def test_missing_entries_and_other_json(file):
    for entry in ("shape", "wavelet", "trees", "saturated"):
        with pytest.raises(FileFormatError, match=f"{entry}: wanted|{entry}: "):
            read(forged(file, lambda header, entry=entry: header.pop(entry)))
    for content in (b"[" * 60_000, b"[1]", b"\xff\xfe", b"{", b"9" * 60_000):
        head = struct.pack("<HHI", 1, 0, len(content))
        with pytest.raises(FileFormatError):
            read(file[:8] + head + struct.pack("<I", zlib.crc32(head + content)) + content)


def chunks(file):
    """Where each chunk begins, how long its content is."""
    place = 20 + struct.unpack("<I", file[12:16])[0]
    while place < len(file):
        length = struct.unpack("<I", file[place + 8 : place + 12])[0]
        yield place, length
        place += 20 + length


def with_chunk(file, which, content, packing, unpacked):
    """The file with another content of one chunk, whose checksum fits."""
    place, length = list(chunks(file))[which]
    kind, level = file[place : place + 4], file[place + 4]
    head = struct.pack("<4sBBHII", kind, level, packing, 0, len(content), unpacked)
    return file[:place] + head + struct.pack("<I", zlib.crc32(head + content)) + content + file[place + 20 + length :]


def test_forged_chunks(file):
    """Contents with a checksum that fits: bombs, contents too long or too short, noise. Refused, or some code; never anything else."""
    random = np.random.default_rng(1)
    for which, (place, _) in enumerate(chunks(file)):
        unpacked = struct.unpack("<I", file[place + 12 : place + 16])[0]
        bomb = container.deflated(bytes(50_000_000)) if which == 1 else container.deflated(bytes(unpacked + 1))
        for content, packing, told in (
            (bomb, 1, unpacked),
            (bomb, 1, 50_000_000),
            (bytes(unpacked + 5), 0, unpacked),
            (container.deflated(bytes(unpacked))[:-1], 1, unpacked),
            (random.bytes(unpacked), 1, unpacked),
            (random.bytes(unpacked), 7, unpacked),
        ):
            if content or unpacked:
                with pytest.raises(FileFormatError):
                    read(with_chunk(file, which, content, packing, told))
        for _ in range(3):
            with contextlib.suppress(FileFormatError):
                assert isinstance(read(with_chunk(file, which, random.bytes(unpacked), 0, unpacked)), ShapeCode)
