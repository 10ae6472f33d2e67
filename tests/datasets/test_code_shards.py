"""Shards of codes as datasets: any item, in any process, and nothing that is damaged."""

import io
import pickle
import tarfile
from itertools import pairwise

import pytest
import torch
from torch.utils.data import DataLoader

from geospec.codes import encode
from geospec.codes.shards import Packed, file_of, read_places, write_shard
from geospec.datasets import ShapeCodes
from geospec.errors import ArgumentError, FileFormatError
from geospec.shapes import Mesh
from geospec.testing import bumpy_sphere

KEYS = [f"set/{i:02d}" for i in range(10)]


@pytest.fixture(scope="module")
def codes():
    mesh = bumpy_sphere(1)
    heights = [0.4 + 0.05 * i for i in range(len(KEYS))]
    return [encode(Mesh(mesh.vertices * torch.tensor([1.0, 1.0, height]), mesh.faces), 32, k=100) for height in heights]


def write(folder, codes, keys=KEYS, size=4):
    folder.mkdir(exist_ok=True)
    packed = [Packed(key, file_of(code, "lossless"), {"source": f"{key}.ply"}) for key, code in zip(keys, codes, strict=True)]
    for i in range(0, len(packed), size):
        write_shard(folder / f"{i // size:06d}.tar", packed[i : i + size])


@pytest.fixture
def folder(codes, tmp_path):
    write(tmp_path / "shards", codes)
    return tmp_path / "shards"


def test_any_item_by_position_or_key(folder, codes):
    dataset = ShapeCodes(folder)
    assert (len(dataset), list(dataset.keys)) == (10, KEYS)
    for which, i in ((0, 0), (7, 7), (-1, 9), ("set/03", 3)):
        assert torch.equal(dataset[which].pack(), codes[i].pack())
        assert dataset[which].truncation == codes[i].truncation
        assert dataset.record(which) == {"source": f"{KEYS[i]}.ply"}
    with pytest.raises(IndexError):
        dataset[10]
    with pytest.raises(ArgumentError, match="which: wanted a key, as in .keys, got 'set/99'"):
        dataset["set/99"]
    assert [torch.equal(a.pack(), b.pack()) for a, b in zip(dataset, codes, strict=True)] == [True] * 10


def test_workers_of_a_loader_read_the_same(folder, codes):
    loader = DataLoader(ShapeCodes(folder, packed=True), batch_size=4, num_workers=2)
    assert torch.equal(torch.cat(list(loader)), torch.stack([code.pack() for code in codes]))


def test_copies_read_on_their_own(folder, codes):
    copy = pickle.loads(pickle.dumps(ShapeCodes(folder)))
    assert torch.equal(copy[5].pack(), codes[5].pack())


def test_split_keeps_each_item_on_its_side_as_the_collection_grows(folder, codes, tmp_path):
    first, rest = ShapeCodes(folder).split(0.6, seed=3)
    assert sorted(first.keys + rest.keys) == KEYS
    assert 0 < len(first) < 10
    assert torch.equal(rest[0].pack(), codes[KEYS.index(rest.keys[0])].pack())
    assert rest[rest.keys[0]].k == rest[0].k
    write(tmp_path / "grown", [*codes, *codes], [*(f"set/new-{key[-2:]}" for key in KEYS), *KEYS])
    grown, _ = ShapeCodes(tmp_path / "grown").split(0.6, seed=3)
    assert set(first.keys) == set(grown.keys) & set(KEYS)
    assert ShapeCodes(folder).split(0.6, seed=4)[0].keys != first.keys
    many = sum(len(ShapeCodes(folder).split(0.6, seed=seed)[0]) for seed in range(200))
    assert abs(many / 2000 - 0.6) < 0.05
    with pytest.raises(ArgumentError, match="fraction: wanted a share between 0 and 1, got 1"):
        ShapeCodes(folder).split(1)


def test_a_stream_deals_whole_shards_to_the_workers(folder, codes):
    dataset = ShapeCodes(folder, packed=True)
    assert [range(0, 4), range(4, 8), range(8, 10)] == dataset.shards()
    assert torch.equal(torch.stack(list(dataset.stream())), torch.stack([code.pack() for code in codes]))
    shares = list(DataLoader(dataset.stream(), batch_size=None, num_workers=2))
    assert sorted(position(item, codes) for item in shares) == list(range(10))


def test_a_stream_has_an_order_for_each_epoch(folder, codes):
    dataset = ShapeCodes(folder, packed=True)
    orders = [[position(item, codes) for item in dataset.stream(seed=1, epoch=epoch)] for epoch in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert all(sorted(order) == list(range(10)) for order in orders)
    shard_of = [[i // 4 for i in order] for order in orders]
    assert all(sum(a != b for a, b in pairwise(shards)) == 2 for shards in shard_of)


def position(item, codes):
    return next(i for i, code in enumerate(codes) if torch.equal(item, code.pack()))


def test_processes_that_train_together_share_the_stream(folder, codes, monkeypatch):
    monkeypatch.setattr("geospec.datasets.code_shards.world", lambda: 2)
    seen = []
    for number in range(2):
        monkeypatch.setattr("geospec.datasets.code_shards.rank", lambda number=number: number)
        seen.append([position(item, codes) for item in ShapeCodes(folder, packed=True).stream()])
    assert seen == [[0, 1, 2, 3, 8, 9], [4, 5, 6, 7]]


def test_every_cut_of_a_shard_is_refused(folder):
    """Also those that fall between two members, which tarfile takes for the end."""
    path = folder / "000000.tar"
    whole = path.read_bytes()
    places = read_places(path)
    end = sum(places[-1].record) // 512 * 512 + 512
    cuts = [places[2].code[0] - 512, places[2].code[0], places[3].code[0] + 700, sum(places[3].code), places[3].record[0], end, end + 600]
    for cut in cuts:
        path.write_bytes(whole[:cut])
        with pytest.raises(FileFormatError, match=r"000000\.tar: wanted a shard of shape codes"):
            ShapeCodes(folder)
    path.write_bytes(whole[: end + 1024])
    assert len(ShapeCodes(folder)) == 10


def test_a_damaged_header_is_refused(folder):
    path = folder / "000000.tar"
    data = bytearray(path.read_bytes())
    data[read_places(path)[1].code[0] - 400] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(FileFormatError, match="cut short or damaged after"):
        ShapeCodes(folder)


def test_a_damaged_code_is_refused_by_its_key(folder):
    path = folder / "000001.tar"
    data = bytearray(path.read_bytes())
    begin, count = read_places(path)[1].code
    data[begin + count // 2] ^= 0xFF
    path.write_bytes(data)
    dataset = ShapeCodes(folder)
    assert dataset[4].k == 100
    with pytest.raises(FileFormatError, match=r"000001\.tar: set/05"):
        dataset[5]


def test_a_shard_that_shrinks_later_is_refused(folder):
    dataset = ShapeCodes(folder)
    path = folder / "000002.tar"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(FileFormatError, match="the shard changed after it was opened"):
        dataset[8]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.png", "a.json"], "one with 'a.png' and 'a.json'"),
        (["a.gsc", "b.json"], "one with 'a.gsc' and 'b.json'"),
        (["a.gsc", "a.json", "b.gsc"], "one that ends with 'b.gsc'"),
    ],
)
def test_other_tars_are_refused(tmp_path, names, message):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name in names:
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(FileFormatError, match=message):
        ShapeCodes(tmp_path)


def test_what_is_no_folder_of_shards_is_refused(tmp_path, folder):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        ShapeCodes(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileFormatError, match="folder: wanted shards of shape codes"):
        ShapeCodes(tmp_path / "empty")
    (tmp_path / "empty" / "a.tar").write_bytes(b"PK\x03\x04" * 300)
    with pytest.raises(FileFormatError, match="no tar, or one that is damaged"):
        ShapeCodes(tmp_path / "empty")
    (folder / "000003.tar").write_bytes((folder / "000001.tar").read_bytes())
    with pytest.raises(FileFormatError, match="'set/04' in 000001.tar and 000003.tar"):
        ShapeCodes(folder)


def test_a_record_that_is_none_is_refused(tmp_path):
    for text, told in ((b"[1]", "list"), (b"{", "Expecting")):
        with tarfile.open(tmp_path / "a.tar", "w") as tar:
            for name, data in (("a.gsc", b"x"), ("a.json", text)):
                head = tarfile.TarInfo(name)
                head.size = len(data)
                tar.addfile(head, io.BytesIO(data))
        with pytest.raises(FileFormatError, match=f"a.json: wanted a record in JSON, got {told}"):
            ShapeCodes(tmp_path).record(0)
        with pytest.raises(FileFormatError, match="a.tar: a"):
            ShapeCodes(tmp_path)[0]


def test_long_and_foreign_names_and_no_shapes(tmp_path, codes):
    keys = ["x" * 150 + "/" + "y" * 120, "stühle/椅子"]
    write(tmp_path, codes[:2], keys)
    assert list(ShapeCodes(tmp_path).keys) == keys
    write_shard(tmp_path / "000000.tar", [])
    assert not (tmp_path / "000000.tar").exists()


def test_a_full_disk_leaves_the_older_shard(folder, codes):
    resource = pytest.importorskip("resource")
    path = folder / "000000.tar"
    whole, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    shape = Packed("a", file_of(codes[0], "lossless"), {})
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20000, limits[1]))
        with pytest.raises(OSError, match="000000.tar"):
            write_shard(path, [shape] * 20)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == whole
    assert not list(folder.glob(".*"))
