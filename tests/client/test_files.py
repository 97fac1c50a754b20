"""Files that the words name: only those are read or written, whatever the door asks for."""

from __future__ import annotations

from client.files import Files


def test_only_files_that_the_words_name_are_read(tmp_path, monkeypatch):
    path, other = tmp_path / "env", tmp_path / "other"
    path.write_text("A=1\nSHAPE\n# COLOUR\n")
    other.write_text("secret\n")
    monkeypatch.setenv("SHAPE", "round")
    monkeypatch.setenv("COLOUR", "blue")
    for words in (["run", "--env-file", str(path), "x"], ["run", f"--env-file={path}", "x"]):
        files = Files(words)
        answer = files.answer({"t": "read-file", "path": str(path)})
        assert answer == {"t": "file", "text": "A=1\nSHAPE\n# COLOUR\n", "environment": {"SHAPE": "round"}}
        assert "is not a file of this command" in files.answer({"t": "read-file", "path": str(other)})["error"]
        assert "is not a file of this command" in files.answer({"t": "reserve-file", "path": str(path)})["error"]


def test_a_file_that_cannot_be_read_is_said(tmp_path):
    missing, binary, large = (str(tmp_path / name) for name in ("missing", "binary", "large"))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "large").write_bytes(b"x" * (1024 * 1024 + 1))
    files = Files(["run", "--label-file", missing, "--label-file", binary, "--env-file", large])

    def error(path):
        return files.answer({"t": "read-file", "path": path})["error"]

    assert error(missing) == f"open {missing}: no such file or directory"
    assert "not UTF-8" in error(binary)
    assert "larger than 1 MiB" in error(large)


def test_a_file_for_the_id_is_made_first_and_goes_if_there_is_no_id(tmp_path):
    path = tmp_path / "cid"
    words = ["run", "--cidfile", str(path), "x"]
    files = Files(words)
    assert files.answer({"t": "reserve-file", "path": str(path)}) == {"t": "file"}
    assert path.read_text() == ""
    assert "container ID file found" in Files(words).answer({"t": "reserve-file", "path": str(path)})["error"]
    files.close()
    assert not path.exists()
    files.answer({"t": "reserve-file", "path": str(path)})
    assert files.answer({"t": "write-file", "text": "ab" * 32}) is None
    files.close()
    assert path.read_text() == "ab" * 32
    files.answer({"t": "write-file", "text": "again"})
    assert path.read_text() == "ab" * 32
