"""Zips: reproducible, with exactly what the action imports, and with errors that say what to do."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from eventflow.errors import FaasError
from faasctl.build import Target, archive, build_action, build_actions, zip_folder
from faasctl.build.imports import needed_modules


def folder_of(base: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return base


def names_in(data: bytes) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(data)).namelist()


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_the_same_files_give_the_same_bytes_whenever_and_wherever(tmp_path: Path) -> None:
    files = {"__main__.py": "def main(args): return args\n", "b/two.txt": "2", "a.txt": "1"}
    first = folder_of(tmp_path / "first", files)
    second = folder_of(tmp_path / "elsewhere/second", dict(reversed(files.items())))
    os.utime(second / "a.txt", (1_000_000_000, 1_000_000_000))
    (second / "b/two.txt").chmod(0o600)

    assert zip_folder(first) == zip_folder(second)
    assert names_in(zip_folder(first)) == ["__main__.py", "a.txt", "b/two.txt"]


def test_an_executable_stays_one_and_empty_modules_are_kept(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "f", {"__main__.py": "", "pkg/__init__.py": "", "calibrate": "#!/bin/sh\n"})
    (folder / "calibrate").chmod(0o700)

    modes = {
        i.filename: i.external_attr >> 16 & 0o777 for i in zipfile.ZipFile(io.BytesIO(zip_folder(folder))).infolist()
    }

    assert modes == {"__main__.py": 0o644, "pkg/__init__.py": 0o644, "calibrate": 0o755}


def test_requirements_and_caches_do_not_travel(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path / "f", {"__main__.py": "", "requirements.txt": "x", "__pycache__/m.pyc": "", ".git/config": ""}
    )

    assert names_in(zip_folder(folder)) == ["__main__.py"]


def test_only_what_is_imported_comes_along(tmp_path: Path) -> None:
    site = folder_of(
        tmp_path / "site",
        {
            "eventflow/__init__.py": "",
            "eventflow/event.py": "from eventflow import errors\n",
            "eventflow/errors.py": "",
            "eventflow/unused.py": "",
            "eventflow/typing_only.py": "",
            "eventflow/clients/__init__.py": "from . import shared\n",
            "eventflow/clients/shared.py": "from ..deep import name\n",
            "eventflow/clients/storage.py": "",
            "eventflow/deep.py": "name = 1\n",
        },
    )
    main = folder_of(
        tmp_path / "f",
        {
            "__main__.py": "import requests\nfrom typing import TYPE_CHECKING\nfrom eventflow.event import Event\n"
            "if TYPE_CHECKING:\n    import eventflow.typing_only\n"
            "def main(args):\n    import eventflow.clients.storage\n"
        },
    )

    found = needed_modules([main / "__main__.py"], {"eventflow": site / "eventflow"})

    assert sorted(found) == [
        "eventflow/__init__.py",
        "eventflow/clients/__init__.py",
        "eventflow/clients/shared.py",
        "eventflow/clients/storage.py",
        "eventflow/deep.py",
        "eventflow/errors.py",
        "eventflow/event.py",
    ]


def test_requirements_are_vendored_once_and_alike_from_builds_at_the_same_time(tmp_path: Path) -> None:
    action = folder_of(tmp_path / "act", {"__main__.py": "import six\n", "requirements.txt": "six\n"})

    def build(number: int) -> tuple[str, list[str]]:
        output = tmp_path / f"out{number}"
        output.mkdir()
        built = build_action(action, Target.of_kind("python:3.11"), output)
        return built.sha256, names_in(built.path.read_bytes())

    with ThreadPoolExecutor(3) as workers:
        results = list(workers.map(build, range(3)))

    assert len({digest for digest, _ in results}) == 1
    assert "six.py" in results[0][1]
    assert not [name for name in results[0][1] if name.endswith(("RECORD", "INSTALLER"))]
    assert len(list((tmp_path / "cache/faasctl/vendor").iterdir())) == 1


def test_actions_are_written_as_name_zip_with_their_hash(tmp_path: Path) -> None:
    folders = [folder_of(tmp_path / name, {"__main__.py": f"# {name}\n"}) for name in ("one", "two")]

    built = build_actions(folders, Target.here(), tmp_path / "dist")

    assert [action.path for action in built] == [tmp_path / "dist/one.zip", tmp_path / "dist/two.zip"]
    assert [hashlib.sha256(a.path.read_bytes()).hexdigest() for a in built] == [a.sha256 for a in built]


def test_a_requirement_without_a_wheel_says_which_and_for_what(tmp_path: Path) -> None:
    action = folder_of(tmp_path / "act", {"__main__.py": "", "requirements.txt": "six==0.0.0.0\n"})

    with pytest.raises(FaasError) as caught:
        build_actions([action], Target.of_kind("python:3.11"), tmp_path / "dist")

    assert "six==0.0.0.0" in caught.value.why
    assert "Linux x86_64, Python 3.11" in caught.value.hint
    assert not (tmp_path / "dist/act.zip").exists()


def test_a_folder_without_main_lists_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(FaasError, match=r"has no __main__\.py") as caught:
        zip_folder(folder_of(tmp_path / "f", {"main.py": ""}))

    assert "found here: main.py" in caught.value.hint


def test_a_zip_that_openwhisk_would_refuse_names_what_is_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path / "f", {"__main__.py": ""})
    (folder / "model.bin").write_bytes(os.urandom(100_000))
    monkeypatch.setattr(archive, "LIMIT", 120_000)

    with pytest.raises(FaasError, match="OpenWhisk takes") as caught:
        zip_folder(folder)

    assert caught.value.hint.startswith("largest: model.bin 0.1 MB")


@pytest.mark.parametrize("kind", ["nodejs:20", "python", "python:default", "python:3.x"])
def test_a_kind_that_wheels_cannot_be_chosen_for_is_refused(kind: str) -> None:
    with pytest.raises(FaasError, match=r"kind|version"):
        Target.of_kind(kind)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "f", {"__main__.py": ""})
    (tmp_path / "secret").write_text("x")
    (folder / "link").symlink_to(tmp_path / "secret")

    with pytest.raises(FaasError, match="link to outside"):
        zip_folder(folder)


def test_python_that_does_not_parse_is_named_with_its_line(tmp_path: Path) -> None:
    action = folder_of(tmp_path / "act", {"__main__.py": "x = 1\ndef main(:\n"})

    with pytest.raises(FaasError) as caught:
        build_actions([action], Target.here(), tmp_path / "dist")

    assert caught.value.where.endswith("__main__.py:2")


def test_a_package_takes_along_what_it_ships(tmp_path: Path) -> None:
    main = tmp_path / "__main__.py"
    main.write_text("from eventflow import job\n")
    assert {"eventflow/job/__init__.py", "eventflow/job/runner.py"} <= needed_modules([main]).keys()
