"""Exchanges recorded from a real OpenWhisk controller: how they are sent again, and what of the answers counts."""

from __future__ import annotations

import gzip
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

Json = Any
FOLDER = Path(__file__).parents[1] / "data" / "openwhisk"
ZEROS = "0" * 32
PLACEHOLDER = re.compile(r"\$A\d+|\$ts|\$HOSTPORT|\$HOST|\$tid")
RECORDED_HOSTPORT = "127.0.0.1:3233"
ACTION_FOLDER = "/action/1/bin"
"""Where a container's action runs; here it is the end of a path."""


def scenarios(name: str) -> Iterator[Json]:
    """``name``: api or clients."""
    with gzip.open(FOLDER / f"{name}.jsonl.gz", "rt") as lines:
        for line in lines:
            yield json.loads(line)


class Replay:
    """Sends one scenario's steps in order; remembers which activation id stands for which placeholder."""

    def __init__(self, apihost: str, auths: dict[str | None, tuple[str, str] | None]) -> None:
        self._apihost = apihost
        self._auths = auths
        self._ids: dict[str, str] = {}
        self._session = requests.Session()
        self._session.trust_env = False

    def take(self, step: Json) -> list[str]:
        """Do one step, again while it may still come right; what differs from the recorded answer."""
        deadline = time.monotonic() + step.get("poll_s", 0)
        while True:
            known = dict(self._ids)
            seen = self._send(step["request"])
            found = self._compare(step["response"], seen) if step["response"] else []
            if not found or time.monotonic() > deadline:
                return found
            self._ids = known
            time.sleep(0.05)

    def _send(self, request: Json) -> requests.Response:
        headers = dict(request.get("headers") or {})
        content = None
        if "raw" in request:
            content = self._fill(request["raw"]).encode()
        elif "body" in request:
            content = json.dumps(self._fill(request["body"])).encode()
        if content is not None:
            headers.setdefault("Content-Type", "application/json")
        return self._session.request(
            request["method"],
            self._apihost + self._fill(request["path"]),
            data=content,
            auth=self._auths[request["auth"]],
            headers=headers,
            allow_redirects=False,
            timeout=120,
        )

    def _fill(self, value: Json) -> Json:
        """With placeholders and long strings written out."""
        if isinstance(value, dict):
            if set(value) == {"$join"}:
                return "".join(p if isinstance(p, str) else p["$repeat"][0] * p["$repeat"][1] for p in value["$join"])
            return {self._fill(key): self._fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._fill(item) for item in value]
        if isinstance(value, str):
            return re.sub(r"\$A\d+", lambda match: self._ids.get(match[0], ZEROS), value)
        return value

    def _compare(self, wanted: Json, seen: requests.Response) -> list[str]:
        try:
            body = seen.json() if seen.content else None
        except ValueError:
            body = {"__text__": seen.text}
        if seen.status_code != wanted["status"]:
            return [f"status {wanted['status']} wanted, {seen.status_code} seen: {str(body)[:300]}"]
        found = []
        for name, value in wanted["headers"].items():
            if name not in seen.headers or not self._same_text(value, seen.headers[name]):
                found.append(f"header {name}: {value!r} wanted, {seen.headers.get(name)!r} seen")
        return found + self._differences(wanted["body"], body, "")

    def _differences(self, want: Json, got: Json, at: str) -> list[str]:
        if isinstance(want, dict):
            return self._object_differences(want, got, at)
        if isinstance(want, list):
            return self._list_differences(want, got, at)
        if isinstance(want, str) and want.startswith("$"):
            special = self._special(want, got)
            if special is not None:
                return [] if special else [f"{at}: {want} wanted, {got!r} seen"]
        if isinstance(want, str) and isinstance(got, str):
            return [] if self._same_text(want, got) else [f"{at}: {want!r} wanted, {got!r} seen"]
        alike = want == got and type(want) is type(got)
        return [] if alike else [f"{at}: {want!r} wanted, {got!r} seen"]

    def _special(self, want: str, got: Json) -> bool | None:
        if want == "$ms":
            return isinstance(got, int) and got > 10**12
        if want == "$msText":
            return isinstance(got, str) and re.fullmatch(r"\d{13}", got) is not None
        if want == "$n":
            return isinstance(got, int | float) and not isinstance(got, bool) and got >= 0
        return isinstance(got, str) if want == "$text" else None

    def _object_differences(self, want: Json, got: Json, at: str) -> list[str]:
        if set(want) == {"$join"}:
            return [] if got == self._fill(want) else [f"{at}: another long string"]
        if set(want) == {"$long", "head"}:
            alike = isinstance(got, str) and len(got) == want["$long"] and got.startswith(want["head"])
            return [] if alike else [f"{at}: another long string"]
        if not isinstance(got, dict):
            return [f"{at}: an object wanted, {str(got)[:200]} seen"]
        if want.keys() != got.keys():
            return [f"{at}: {sorted(want)} wanted, {sorted(got)} seen"]
        found = []
        for key, value in want.items():
            if key == "size" and "result" in want:
                value += self._longer(want["result"])
            if key == "logs" and isinstance(value, list):
                found += self._log_differences(value, got[key], f"{at}.{key}")
            else:
                found += self._differences(value, got[key], f"{at}.{key}")
        return found

    def _longer(self, result: Json) -> int:
        """How many characters more this host's address is than the recorded one's, wherever it stands."""
        more = len(self._apihost.removeprefix("http://")) - len(RECORDED_HOSTPORT)
        return more * json.dumps(result).count("$HOST")

    def _log_differences(self, want: list[str], got: Json, at: str) -> list[str]:
        """The recorded store writes no stream's name, and loses what went to stderr."""
        told = [re.sub(r"^(\S+Z) +stdout: ", r"\1 ", line) for line in got if not re.match(r"\S+Z +stderr: ", line)]
        return self._list_differences(want, told, at)

    def _list_differences(self, want: list[Json], got: Json, at: str) -> list[str]:
        if not isinstance(got, list):
            return [f"{at}: a list wanted, {str(got)[:200]} seen"]
        if not any(_key(entry) == "initTime" for entry in want):  # only a cold start has one
            got = [entry for entry in got if _key(entry) != "initTime"]
        if len(want) != len(got):
            return [f"{at}: {len(want)} entries wanted, {len(got)} seen: {str(got)[:300]}"]
        if all(_key(entry) is not None for entry in (*want, *got)):
            want, got = sorted(want, key=_key_text), sorted(got, key=_key_text)
        pairs = enumerate(zip(want, got, strict=True))
        return [difference for n, (w, g) in pairs for difference in self._differences(w, g, f"{at}[{n}]")]

    def _same_text(self, want: str, got: str) -> bool:
        if want == "$tid":
            return bool(got)
        if want == ACTION_FOLDER:
            return got.endswith(want)
        pattern, names, last = "", [], 0
        for match in PLACEHOLDER.finditer(want):
            pattern += re.escape(want[last : match.start()])
            last = match.end()
            pattern += self._pattern_of(match[0])
            if match[0].startswith("$A") and match[0] not in self._ids:
                names.append(match[0])
        found = re.fullmatch(pattern + re.escape(want[last:]), got, re.DOTALL)
        if found:
            self._ids.update(zip(names, found.groups(), strict=True))
        return found is not None

    def _pattern_of(self, placeholder: str) -> str:
        fixed = {
            "$ts": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z",
            "$tid": r"\S+",
            "$HOST": re.escape(self._apihost),
            "$HOSTPORT": re.escape(self._apihost.removeprefix("http://")),
        }
        known = self._ids.get(placeholder)
        return fixed.get(placeholder) or (re.escape(known) if known else r"([0-9a-f]{32})")


def _key(entry: Json) -> Json:
    return entry.get("key") if isinstance(entry, dict) else None


def _key_text(entry: Json) -> str:
    return str(entry["key"])
