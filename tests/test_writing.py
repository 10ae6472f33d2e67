"""Files appear whole or not at all, whoever writes them."""

import errno
import threading

import numpy as np
import pytest
import torch

from geospec.writing import folder_written_aside, write_npz, written_aside


def test_an_older_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("older")
    with written_aside(path) as aside:
        aside.write_text("newer")
        assert path.read_text() == "older"
        assert aside.parent == tmp_path
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("x.txt", "newer")]


def interrupted(path):
    with written_aside(path) as aside:
        aside.write_text("half")
        raise ZeroDivisionError


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "x.txt"
    for before in ([], [("x.txt", "older")]):
        with pytest.raises(ZeroDivisionError):
            interrupted(path)
        assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == before
        path.write_text("older")


def disk_full(path):
    with written_aside(path) as aside:
        aside.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")  # as the system says it to who writes, without a name


def test_errors_name_the_file_that_was_asked_for(tmp_path):
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "absent" / "x.npz", tmp_path / "folder"):
        with pytest.raises(OSError) as refusal:
            write_npz(path, given=torch.zeros(1))
        assert refusal.value.filename == str(path)
    with pytest.raises(OSError, match="No space left") as refusal:
        disk_full(tmp_path / "x.txt")
    assert refusal.value.filename == str(tmp_path / "x.txt")
    with pytest.raises(FileNotFoundError) as refusal, written_aside(tmp_path / "x.txt"):
        (tmp_path / "another").read_text()
    assert refusal.value.filename == str(tmp_path / "another")
    assert [file.name for file in tmp_path.iterdir()] == ["folder"]


def test_threads_do_not_share_a_name(tmp_path):
    names = []

    def write():
        with written_aside(tmp_path / "x.txt") as aside:
            names.append(aside)
            aside.write_text("whole")
            both.wait(timeout=30)

    both = threading.Barrier(2)
    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(names)) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["x.txt"]


def test_npz_under_any_name(tmp_path):
    given = torch.arange(4).double().requires_grad_()
    write_npz(tmp_path / "arrays.of.mine", given=given)
    assert [file.name for file in tmp_path.iterdir()] == ["arrays.of.mine"]
    with np.load(tmp_path / "arrays.of.mine", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["given"], np.arange(4.0))


def test_a_folder_takes_the_place_of_the_older_one(tmp_path):
    for words in ("older", "newer"):
        with folder_written_aside(tmp_path / "folder") as aside:
            (aside / words).write_text(words)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["newer"]


def half_a_folder(path):
    with folder_written_aside(path) as aside:
        (aside / "half").write_text("half")
        raise ZeroDivisionError


def test_half_a_folder_is_removed_and_the_older_one_stays(tmp_path):
    with pytest.raises(ZeroDivisionError):
        half_a_folder(tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "older").write_text("older")
    with pytest.raises(ZeroDivisionError):
        half_a_folder(tmp_path / "folder")
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "older"]
