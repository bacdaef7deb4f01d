"""The example function uncompress."""

import bz2
import gzip
import io
import lzma
import stat
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.functions.example import event, example

CONTENT = b"some detector data\n" * 1000


def run(tmp_path: Path, name: str, content: bytes, **params: Any) -> tuple[Path, dict[str, Any]]:
    function, main = example("uncompress")
    source, output = tmp_path / name, tmp_path / "out"
    source.write_bytes(content)
    output.mkdir()
    return output, main(event(function, source, output, f"/demo/compressed/r1/{name}", **params))


def zipped(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that a name stands twice is what a test wants
                archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(("suffix", "compress"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)])
def test_a_compressed_file_comes_out_whole(tmp_path: Path, suffix: str, compress: Any) -> None:
    # when: two members one after another, as `cat a.gz b.gz` makes them
    output, answer = run(tmp_path, f"a.dat.{suffix}", compress(CONTENT) + compress(b"end"))

    # then
    assert (output / "a.dat").read_bytes() == CONTENT + b"end"
    assert answer == {"files": 1, "bytes": len(CONTENT) + 3}


def test_a_zip_keeps_its_folders(tmp_path: Path) -> None:
    output, answer = run(tmp_path, "a.zip", zipped(("x/y.dat", CONTENT), ("z", b"1"), ("empty/", b"")))
    assert (output / "x/y.dat").read_bytes() == CONTENT
    assert answer == {"files": 2, "bytes": len(CONTENT) + 1}


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "a//x", "./x", "..\\x", "_faas/result.json"])
def test_no_entry_of_a_zip_leaves_the_output_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(Exception, match="no plain file below the output directory"):
        run(tmp_path, "a.zip", zipped((name, b"evil")))
    assert list(tmp_path.rglob("x")) == []


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(Exception, match="no plain file"):
        run(tmp_path, "a.zip", zipped((link, b"/etc/passwd")))


@pytest.mark.parametrize(("suffix", "compress"), [("gz", gzip.compress), ("xz", lzma.compress)])
def test_a_bomb_is_refused_as_soon_as_it_passes_the_bound(tmp_path: Path, suffix: str, compress: Any) -> None:
    # given: 64 MB of zeros in a few kB
    bomb = compress(bytes(64 << 20))

    # when
    with pytest.raises(Exception, match="more than 3000000 bytes"):
        run(tmp_path, f"a.{suffix}", bomb, max_bytes=3_000_000)

    # then
    assert (tmp_path / "out" / "a").stat().st_size <= 3_000_000


def test_a_zip_is_bounded_in_bytes_and_files(tmp_path: Path) -> None:
    many = zipped(*((f"f{i}", b"x") for i in range(20)))
    with pytest.raises(Exception, match="more than 10 files"):
        run(tmp_path, "a.zip", many, max_files=10)
    (tmp_path / "out").rmdir()
    with pytest.raises(Exception, match="more than 15 bytes"):
        run(tmp_path, "b.zip", many, max_bytes=15)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.gz", b"no gzip", "broken"),
        ("a.gz", gzip.compress(CONTENT, mtime=0)[:-20], "broken"),
        ("a.xz", b"no xz", "broken"),
        ("a.zip", b"no zip", "broken"),
        ("a.zip", zipped(("a", b"1"), ("a", b"2")), "twice"),
        ("a.rar", b"", "is none of"),
    ],
)
def test_a_file_that_cannot_be_unpacked_says_why(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    with pytest.raises(Exception, match=words):
        run(tmp_path, name, content)
