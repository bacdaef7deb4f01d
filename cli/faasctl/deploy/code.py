"""An action's code, from what its manifest names: a file, a zip, a folder, or the text itself."""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import io
import zipfile
from pathlib import Path

from eventflow.spec import Key, SpecError, nearest
from faasctl.build.archive import LIMIT, folder_files, largest, megabytes, pack
from faasctl.deploy.grammar import ActionPart
from faasctl.deploy.model import Code

_FAMILIES = {
    ".py": "python",
    ".js": "nodejs",
    ".ts": "nodejs",
    ".swift": "swift",
    ".java": "java",
    ".jar": "java",
    ".php": "php",
    ".rb": "ruby",
    ".go": "go",
    ".rs": "rust",
    ".cs": "dotnet",
}
_BINARY = {".zip", ".jar", ".gz", ".bin", ".exe"}
BLACKBOX = "blackbox"
_SKELETON = "openwhisk/dockerskeleton"


def code_of(part: ActionPart, base: Path, key: Key) -> tuple[str, Code | None, str | None]:
    """The (kind, code, image) of an action; files are relative to ``base``. Raises `SpecError`."""
    file = part.function or part.location
    if file and part.code:
        raise SpecError("has both function and code", key=key, hint="give one of them")
    image = part.docker or (_SKELETON if part.native else None)
    if not file and not part.code:
        if image is None:
            raise SpecError("has neither function, code nor docker", key=key, hint="function: path/to/main.py")
        return BLACKBOX, None, image
    text = part.code if part.code else _read(part, base, (*key, "function"))
    kind = BLACKBOX if image else _kind(part, file, key)
    if len(text) > LIMIT:
        raise SpecError(f"the code has {megabytes(len(text))}, and OpenWhisk takes {megabytes(LIMIT)}", key=key)
    if kind.startswith("python") and file and Path(file).suffix == ".zip":
        _check_main(base / file, (*key, "function"))
    return kind, Code(text=text, digest=hashlib.sha256(text.encode()).hexdigest()), image


def _kind(part: ActionPart, file: str | None, key: Key) -> str:
    if part.runtime:
        return part.runtime if ":" in part.runtime else f"{part.runtime}:default"
    family = _FAMILIES.get(Path(file).suffix) if file else None
    if family is None:
        raise SpecError(
            "has no runtime", key=key, hint="a zip, a folder and inline code need one: runtime: python:3.11"
        )
    return f"{family}:default"


def _read(part: ActionPart, base: Path, key: Key) -> str:
    name = part.function or part.location or ""
    if "://" in name:
        raise SpecError(f"{name} is a URL", key=key, hint="download it, so that what runs is what was reviewed")
    path = base / name
    if path.is_dir():
        return _encoded(_zip(path, part, base, key))
    try:
        content = path.read_bytes()
    except OSError as error:
        around = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = nearest(path.name, around) if around else f"there is no folder {path.parent}"
        raise SpecError(f"cannot read {path}: {error.strerror}", key=key, hint=hint) from None
    if path.suffix in _BINARY:
        return _encoded(content)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return _encoded(content)


def _zip(folder: Path, part: ActionPart, base: Path, key: Key) -> bytes:
    entries: dict[str, Path | bytes] = dict(folder_files(folder))
    for index, pair in enumerate(part.include):
        if len(pair) not in (1, 2):
            raise SpecError("is not [source] or [source, destination]", key=(*key[:-1], "include", index))
        entries.update(_included(base, *pair))
    for pattern in part.exclude:
        for name in fnmatch.filter(list(entries), pattern):
            del entries[name]
    if (part.runtime or "").startswith("python") and "__main__.py" not in entries:
        found = ", ".join(sorted(entries)[:10]) or "nothing"
        raise SpecError(f"{folder} has no __main__.py", key=key, hint=f"found: {found}")
    return pack(entries, where=str(folder))


def _included(base: Path, source: str, destination: str = "") -> dict[str, Path | bytes]:
    """The files that one ``include`` adds: a file, or what a pattern matches below ``base``."""
    matches = [path for path in sorted(base.glob(source)) if path.is_file()]
    if (base / source).is_dir():
        matches = [path for _, path in folder_files(base / source)]
    added: dict[str, Path | bytes] = {}
    for path in matches:
        name = path.relative_to(base).as_posix().replace("../", "")
        if destination:
            name = (
                destination
                if len(matches) == 1 and not destination.endswith("/")
                else f"{destination.rstrip('/')}/{path.name}"
            )
        added[name] = path
    return added


def _check_main(path: Path, key: Key) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        raise SpecError(f"{path} is no zip", key=key) from None
    if "__main__.py" not in names:
        found = ", ".join(name for name, _ in largest(dict.fromkeys(names, 1), 8))
        hint = f"the runtime starts the __main__.py at the root of the zip; found there: {found or 'nothing'}"
        raise SpecError(f"{path} has no __main__.py", key=key, hint=hint)


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
