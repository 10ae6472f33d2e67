"""Collections: nothing lost, nothing twice, whatever dies; and what goes wrong is told by name."""

import errno
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from multiprocessing import forkserver
from pathlib import Path

import pytest
import torch

import geospec
from geospec.codes import ShapeCode, encode
from geospec.codes.shards import read_bytes, read_places
from geospec.datasets import ShapeCodes
from geospec.errors import ArgumentError, FileFormatError, GeospecError, MissingDependencyError
from geospec.pipelines import encode_collection
from geospec.pipelines.collection.engines import _Worker, on_this_machine
from geospec.pipelines.collection.folder import locked
from geospec.pipelines.collection.task import ShardTask, Source
from geospec.testing import bumpy_sphere

ENCODING = {"resolution": 32, "k": 200}
OPTIONS = {"shard_size": 3, **ENCODING}
DRIVER = f"""
import sys, time
from geospec.pipelines import encode_collection
if __name__ == "__main__":
    encode_collection(sys.argv[1], sys.argv[2], workers=2, progress=lambda *told: time.sleep(0.02), **{OPTIONS})
"""


def fill(folder: Path, count: int) -> list[str]:
    """``count`` ellipsoids, some in a folder below; their names in order."""
    (folder / "below").mkdir(parents=True, exist_ok=True)
    names = [f"{'below/' if i % 3 == 0 else ''}shape-{i:02d}.off" for i in range(count)]
    for i, name in enumerate(names):
        save(folder / name, 0.4 + 0.05 * i)
    return sorted(names)


def save(path: Path, height: float) -> None:
    mesh = bumpy_sphere(1)
    geospec.save(geospec.Mesh(mesh.vertices * torch.tensor([1.0, 1.0, height]), mesh.faces), path)


def keys_of(names):
    return [name.rpartition(".")[0] for name in names]


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.tar"))}


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def members(folder: Path) -> dict[str, bytes]:
    return {place.key: read_bytes(path, place.code) for path in folder.glob("*.tar") for place in read_places(path)}


def test_another_geospec_does_not_go_on(room, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("geospec.pipelines.collection.folder.__version__", "99.0")
        with pytest.raises(
            ArgumentError, match=f"out: wanted a folder begun by geospec 99.0, as this is, got .* begun by {geospec.__version__}"
        ):
            again(room)
    assert again(room).encoded == 0


def kill_one() -> None:
    os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder of eight shapes with its shards, made by one worker, and the names."""
    room = tmp_path_factory.mktemp("collection")
    names = fill(room / "shapes", 8)
    result = encode_collection(room / "shapes", room / "shards", **OPTIONS)
    assert (result.encoded, result.shapes, result.shards, result.failures) == (8, 8, 3, ())
    return room, names


@pytest.fixture
def room(made, tmp_path):
    """A copy of it, to change."""
    shutil.copytree(made[0] / "shapes", tmp_path / "shapes")
    shutil.copytree(made[0] / "shards", tmp_path / "shards")
    for name in ("collection.json", "plan.jsonl"):
        file = tmp_path / "shards" / name
        file.write_text(file.read_text().replace(str(made[0]), str(tmp_path)))
    return tmp_path


def again(room, **options):
    return encode_collection(room / "shapes", room / "shards", **{**OPTIONS, **options})


def test_every_shape_is_there_once(made, tmp_path):
    room, names = made
    codes = ShapeCodes(room / "shards")
    assert list(codes.keys) == keys_of(names)
    for name in names[:2]:
        encode(geospec.load(room / "shapes" / name), **ENCODING).save(tmp_path / "alone.gsc")
        assert torch.equal(codes[keys_of([name])[0]].pack(), ShapeCode.load(tmp_path / "alone.gsc").pack())
    listed = lines(room / "shards" / "manifest.jsonl")
    assert [line["source"] for line in listed] == names
    assert {line["shard"] for line in listed} == set(shards(room / "shards")) == {"000000.tar", "000001.tar", "000002.tar"}
    assert all(line["points"] == 42 and line["faces"] == 80 and line["seconds"] > 0 for line in listed)
    for name, line in zip(names, listed, strict=True):
        assert line["size"] == (room / "shapes" / name).stat().st_size


def test_a_second_run_has_nothing_to_do(room):
    before = shards(room / "shards")
    assert again(room).encoded == 0
    assert shards(room / "shards") == before


def test_two_workers_of_which_one_is_killed_give_the_bytes_of_one(made, tmp_path):
    told = []

    def progress(stage, done, total):
        told.append(done)
        if len(told) == 4:
            kill_one()

    result = encode_collection(made[0] / "shapes", tmp_path / "shards", workers=2, progress=progress, **OPTIONS)
    assert (result.encoded, result.failures) == (8, ())
    assert told[-1] == 8
    assert shards(tmp_path / "shards") == shards(made[0] / "shards")


def test_a_killed_run_goes_on(made, tmp_path):
    out = tmp_path / "shards"
    run = subprocess.Popen([sys.executable, "-c", DRIVER, made[0] / "shapes", out], start_new_session=True)
    until = time.monotonic() + 60
    while not list(out.glob("*.tar")):
        assert time.monotonic() < until
        assert run.poll() is None
        time.sleep(0.005)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    done = shards(out)
    assert 0 < len(done) < 3
    result = encode_collection(made[0] / "shapes", out, **OPTIONS)
    assert 0 < result.encoded < 8
    assert result.shapes == 8
    assert shards(out) == shards(made[0] / "shards")
    assert done.items() <= shards(out).items()
    assert [line["source"] for line in lines(out / "manifest.jsonl")] == made[1]
    assert hidden(out) == [".lock"]


def test_an_interrupted_run_ends_its_workers_and_goes_on(made, tmp_path):
    def progress(stage, done, total):
        if done == 4:  # in the second shard
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_collection(made[0] / "shapes", tmp_path / "shards", progress=progress, **OPTIONS)
    assert hidden(tmp_path / "shards") == [".lock"]
    assert not multiprocessing.active_children()
    assert encode_collection(made[0] / "shapes", tmp_path / "shards", **OPTIONS).encoded == 5
    assert shards(tmp_path / "shards") == shards(made[0] / "shards")


def test_a_shard_that_was_not_yet_listed_is_taken_as_it_is(room):
    manifest = room / "shards" / "manifest.jsonl"
    whole = lines(manifest)
    text = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(text[:3]) + text[3][:20])  # the kill came within the first line of the second shard
    assert again(room).encoded == 0
    without = [{**line, "seconds": line["seconds"] if i < 3 else None} for i, line in enumerate(whole)]
    assert lines(manifest) == without


def test_a_file_that_kills_workers_is_given_up(made, tmp_path):
    """A pipe that nobody writes to holds each worker until it is killed."""
    source = made[0] / "shapes"
    os.mkfifo(tmp_path / "hangs.off")
    places = {"shape-01.off": source, "hangs.off": tmp_path, "shape-02.off": source}
    shapes = tuple(Source(name, name, str(folder / name)) for name, folder in places.items())
    task = ShardTask(str(tmp_path / "000000.tar"), shapes, frozenset(s.key for s in shapes), {}, ENCODING, "near-lossless")
    marker = tmp_path / ".000000.tar.at"
    killed = []

    def watch(task, behind):
        if behind == 1 and len(killed) < 2:
            while json.loads(marker.read_text())["at"] != "hangs.off":
                time.sleep(0.001)
            kill_one()
            killed.append(behind)

    (result,) = on_this_machine([task], 1, watch)
    assert [line["key"] for line in result.entries] == ["shape-01.off", "shape-02.off"]
    (failure,) = result.failures
    assert failure["key"] == "hangs.off"
    assert "the death of 2 workers" in failure["message"]
    assert not marker.exists()


def test_workers_that_die_before_they_begin_end_the_run(made, tmp_path):
    shapes = (Source("a", "a.off", str(made[0] / "shapes" / made[1][0])),)
    task = ShardTask(str(tmp_path / "000000.tar"), shapes, frozenset("a"), {}, ENCODING, "near-lossless")

    class Deadly(ShardTask):
        def __reduce__(self):
            return os._exit, (7,)

    with pytest.raises(GeospecError, match="workers: wanted processes that live, got one death after another \\(exit code 7\\)"):
        list(on_this_machine([Deadly(**vars(task))], 1, lambda task, behind: None))
    assert not multiprocessing.active_children()


def test_a_shard_that_cannot_be_written_stops_the_run(made, tmp_path):
    shapes = (Source("a", "a.off", str(made[0] / "shapes" / made[1][0])),)
    task = ShardTask(str(tmp_path / "absent" / "000000.tar"), shapes, frozenset("a"), {}, ENCODING, "near-lossless")
    with pytest.raises(FileNotFoundError, match="absent"):
        list(on_this_machine([task], 1, lambda task, behind: None))
    assert not multiprocessing.active_children()


def test_workers_and_their_server_are_never_interrupted(made):
    """A terminal sends an interrupt to all processes; the server would answer with a traceback, of its imports."""
    server = _Worker()
    try:
        for pid in (forkserver._forkserver._forkserver_pid, server.process.pid):
            blocked = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigBlk"))
            assert int(blocked.split()[1], 16) >> (signal.SIGINT - 1) & 1
        assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    finally:
        server.end()


def test_a_cluster_that_loses_its_worker_gives_the_bytes_of_one(made, tmp_path):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster:
        told = []

        def progress(stage, done, total):
            told.append(done)
            if len(told) == 1:
                os.kill(cluster.workers[0].process.pid, signal.SIGKILL)

        address = cluster.scheduler_address
        options = {**OPTIONS, "shard_size": 2}  # so that three shards are still to come at the death
        result = encode_collection(made[0] / "shapes", tmp_path / "shards", cluster=address, progress=progress, **options)
    assert (result.encoded, result.shards, result.failures, told[-1]) == (8, 4, (), 8)
    assert members(tmp_path / "shards") == members(made[0] / "shards")


def test_no_scheduler_is_refused(made, tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("geospec.pipelines.collection.engines._PATIENCE", 0.2)
    with pytest.raises(ArgumentError, match="cluster: wanted the address of a running Dask scheduler, got 'tcp://127.0.0.1:9'"):
        encode_collection(made[0] / "shapes", tmp_path / "shards", cluster="tcp://127.0.0.1:9", **OPTIONS)


def test_a_cluster_needs_the_extra(made, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingDependencyError, match=r"geospec\[distributed\]"):
        encode_collection(made[0] / "shapes", tmp_path / "shards", cluster="tcp://127.0.0.1:9", **OPTIONS)


def test_bad_files_are_named_and_the_others_go_on(tmp_path):
    shapes = tmp_path / "shapes"
    fill(shapes, 1)
    (shapes / "notes.txt").write_text("no shape")
    (shapes / "short.off").write_text("OFF\n100 200 0\n")
    (shapes / "empty.ply").write_bytes(b"")
    (shapes / "nan.obj").write_text("v 0 0 nan\nv 0 1 0\nv 1 0 0\nf 1 2 3\n")
    (shapes / "quad.obj").write_text("v 0 0 0\nv 0 1 0\nv 1 1 0\nv 1 0 0\nf 1 2 3 4\n")
    (shapes / "point.off").write_text("OFF\n3 1 0\n1 1 1\n1 1 1\n1 1 1\n3 0 1 2\n")
    (shapes / "gone.off").symlink_to("nowhere")
    (shapes / ".hidden.off").write_text("")
    geospec.codes.field_in_box(bumpy_sphere(1), 16).save(shapes / "field.npz")
    whole = (shapes / "field.npz").read_bytes()
    (shapes / "cut.npz").write_bytes(whole[:-100])
    result = encode_collection(shapes, tmp_path / "shards", **OPTIONS)
    assert (result.shapes, result.encoded, result.others) == (2, 2, ("notes.txt",))
    failures = lines(tmp_path / "shards" / "failures.jsonl")
    assert [line for line in failures if line["source"] != "notes.txt"] == list(result.failures)
    assert {line["source"]: line["error"] for line in failures} == {
        "notes.txt": "FileFormatError",
        "short.off": "FileFormatError",
        "empty.ply": "FileFormatError",
        "nan.obj": "ShapeError",
        "quad.obj": "FileFormatError",
        "point.off": "ShapeError",
        "gone.off": "FileNotFoundError",
        "cut.npz": "FileFormatError",
    }
    assert all("traceback" not in line for line in failures)
    codes = ShapeCodes(tmp_path / "shards")
    assert codes.keys == ("below/shape-00", "field")
    assert codes.record("field")["cells"] == [16, 16, 16] == list(codes["field"].grid.shape)


def test_folders_that_are_not_read_are_named(tmp_path, monkeypatch):
    shapes = tmp_path / "shapes"
    fill(shapes, 1)
    (shapes / "closed").mkdir()
    (shapes / "linked").symlink_to(shapes / "below")
    (shapes / "round").symlink_to(shapes)
    asked, closed = os.scandir, [str(shapes / "closed")]

    def scandir(path):  # refuses as the system would refuse anyone but root
        if str(path) in closed:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return asked(path)

    monkeypatch.setattr(os, "scandir", scandir)
    result = encode_collection(shapes, tmp_path / "shards", **OPTIONS)
    assert (result.encoded, result.others) == (1, ())
    told = {line["source"]: (line["error"], line["message"]) for line in lines(tmp_path / "shards" / "failures.jsonl")}
    assert set(told) == {"closed", "linked", "round"} == {line["source"] for line in result.failures}
    assert told["closed"][0] == "PermissionError"
    assert f"a link to {shapes / 'below'}; links to folders are not followed" in told["linked"][1]
    closed.append(str(shapes))
    with pytest.raises(PermissionError):
        encode_collection(shapes, tmp_path / "shards", **OPTIONS)


@pytest.mark.parametrize(("put", "error"), [(Path.mkdir, "IsADirectoryError"), (lambda path: path.symlink_to(path), "OSError")])
def test_a_file_that_can_no_longer_be_read_is_listed_and_encoded_when_it_can(room, put, error):
    """The system refuses its content to the sha256, or already its size."""
    path, aside = room / "shapes" / "shape-01.off", room / "aside.off"
    before = shards(room / "shards")
    path.rename(aside)
    put(path)
    for tried in (True, False):
        told = []
        result = again(room, progress=lambda *each, told=told: told.append(each))
        assert [(line["source"], line["error"]) for line in result.failures] == [("shape-01.off", error)]
        assert (result.shapes, result.encoded, bool(told)) == (7, 0, tried)
    path.unlink() if path.is_symlink() else path.rmdir()
    aside.rename(path)
    assert again(room).failures == ()
    assert shards(room / "shards") == before


def test_failures_are_tried_again_on_request_or_when_the_file_has_changed(room):
    (room / "shapes" / "a.off").write_text("OFF\n1 2")
    (room / "shapes" / "b.off").write_text("OFF\n1 2")
    assert len(again(room).failures) == 2
    when = (room / "shards" / "manifest.jsonl").stat().st_mtime_ns
    told = []
    again(room, progress=lambda *each: told.append(each))
    assert told == []
    assert len(again(room, retry=True, progress=lambda *each: told.append(each)).failures) == 2
    assert len(told) == 3
    save(room / "shapes" / "b.off", 0.3)
    result = again(room)
    assert (result.encoded, [line["source"] for line in result.failures]) == (1, ["a.off"])
    assert ShapeCodes(room / "shards").keys[-1] == "b"
    assert (room / "shards" / "manifest.jsonl").stat().st_mtime_ns > when


def test_changed_files_are_encoded_again_in_their_place(room):
    before = ShapeCodes(room / "shards")
    codes = {key: before[key].pack() for key in before.keys}
    save(room / "shapes" / "shape-01.off", 0.3)
    (room / "shapes" / "shape-02.off").touch()
    (room / "shapes" / "shape-04.off").unlink()
    save(room / "shapes" / "new.off", 0.7)
    assert again(room).encoded == 2
    after = ShapeCodes(room / "shards")
    assert after.keys == (*before.keys, "new")
    changed = [key for key in codes if not torch.equal(after[key].pack(), codes[key])]
    assert changed == ["shape-01"]


def test_a_shard_that_was_removed_is_made_again(room):
    whole = shards(room / "shards")
    (room / "shards" / "000001.tar").unlink()
    assert again(room).encoded == 3
    assert shards(room / "shards") == whole


def test_a_damaged_shard_is_refused_when_it_is_to_be_completed(room):
    path = room / "shards" / "000000.tar"
    path.write_bytes(path.read_bytes()[:-20000])
    save(room / "shapes" / "below" / "shape-00.off", 0.3)
    with pytest.raises(FileFormatError, match="000000.tar: wanted a shard of shape codes"):
        again(room)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("manifest.jsonl", "{\n", "manifest.jsonl: wanted JSON objects with key, shard, bytes, one a line, got Expecting"),
        ("plan.jsonl", "[]\n", r"plan.jsonl: wanted JSON objects with shard, shapes, one a line, got \[\]"),
        ("failures.jsonl", '{"key": 1}\n', "failures.jsonl: wanted JSON objects with key, source"),
        ("collection.json", "[", "collection.json: wanted the options of a collection"),
        ("collection.json", '{"geospec": "collection", "version": 9}', "wanted a collection, version 1, got .*9"),
    ],
)
def test_damaged_lists_are_refused(room, name, text, message):
    (room / "shards" / name).write_text(text)
    with pytest.raises(FileFormatError, match=message):
        again(room)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 100}, "k: wanted 200, as .* was begun, got 100; give the same again, or another folder"),
        ({"truncation": 0.2}, "truncation: wanted 0.1, as"),
        ({"triangulate": True}, "triangulate: wanted False, as"),
    ],
)
def test_other_options_for_the_same_folder_are_refused(room, options, message):
    before = shards(room / "shards")
    with pytest.raises(ArgumentError, match=message):
        again(room, **options)
    assert shards(room / "shards") == before


def test_another_source_for_the_same_folder_is_refused(room, made):
    with pytest.raises(ArgumentError, match="source: wanted .*shapes"):
        encode_collection(made[0] / "shapes", room / "shards", **OPTIONS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers: wanted a whole number, at least 1, got 0"),
        ({"shard_size": 1.5}, "shard_size: wanted a whole number"),
        ({"colour": "red"}, "options: wanted those of geospec.encode: resolution, k, .*, got colour"),
        ({"energy": 0.9}, "k, threshold, energy: wanted one of the three"),
        ({"fill": 2}, "fill: wanted"),
    ],
)
def test_options_are_refused_before_any_work(made, tmp_path, options, message):
    with pytest.raises(ArgumentError, match=message):
        encode_collection(made[0] / "shapes", tmp_path / "shards", **{**OPTIONS, **options})
    assert not (tmp_path / "shards").exists()


def test_folders_are_refused_by_name(made, tmp_path):
    shapes = made[0] / "shapes"
    with pytest.raises(ArgumentError, match="source: wanted shapes: .*, got none among 0 files"):
        encode_collection(tmp_path, tmp_path / "shards", **OPTIONS)
    with pytest.raises(ArgumentError, match="source: wanted a folder"):
        encode_collection(shapes / made[1][0], tmp_path / "shards", **OPTIONS)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("mine")
    with pytest.raises(ArgumentError, match="out: wanted an empty folder, or one of shards, got .* holds letter.txt"):
        encode_collection(shapes, tmp_path / "other", **OPTIONS)
    with pytest.raises(FileNotFoundError):
        encode_collection(shapes, tmp_path / "no" / "shards", **OPTIONS)
    (tmp_path / "file").write_text("")
    with pytest.raises(ArgumentError, match="out: wanted a folder, got the file"):
        encode_collection(shapes, tmp_path / "file", **OPTIONS)


def test_two_runs_do_not_share_a_folder(room):
    with locked(room / "shards"), pytest.raises(GeospecError, match="out: wanted a folder that no other run writes to"):
        again(room)


def test_a_list_of_files_and_names_that_collide(made, tmp_path):
    """WebDataset takes what follows the first dot of a name for its kind, so keys have none."""
    mesh = geospec.load(made[0] / "shapes" / made[1][0])
    paths = [tmp_path / name for name in ("a.off", "a.ply", "a.b.off", "a_b.off")]
    (tmp_path / "deep").mkdir()
    paths.append(tmp_path / "deep" / "a.off")
    for path in paths:
        geospec.save(mesh, path)
    result = encode_collection(paths, tmp_path / "shards", **OPTIONS)
    listed = {line["source"]: line["key"] for line in lines(result.folder / "manifest.jsonl")}
    assert len(set(listed.values())) == 5
    assert all("." not in key for key in listed.values())
    assert set(listed) == {str(path) for path in paths}
    assert encode_collection(paths[:2], tmp_path / "shards", **OPTIONS).encoded == 0


def test_shards_below_the_source_are_not_taken_for_shapes(made, tmp_path):
    shutil.copy(made[0] / "shapes" / made[1][0], tmp_path / "a.off")
    assert encode_collection(tmp_path, tmp_path / "shards", **OPTIONS).failures == ()
    assert encode_collection(tmp_path, tmp_path / "shards", **OPTIONS).failures == ()


def test_webdataset_reads_the_shards(made):
    webdataset = pytest.importorskip("webdataset")
    urls = [str(made[0] / "shards" / name) for name in shards(made[0] / "shards")]
    read = list(webdataset.WebDataset(urls, shardshuffle=False))
    assert [item["__key__"] for item in read] == keys_of(made[1])
    assert [json.loads(item["json"])["source"] for item in read] == made[1]
