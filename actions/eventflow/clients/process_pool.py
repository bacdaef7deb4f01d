"""The pool port over HTTP: a client of the local process pool (`python -m faasctl.local.pool`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import requests

from eventflow.exactly_once import Job, PoolRefused, PoolUnavailable, QueuedJob
from eventflow.watching import Watched

TIMEOUT = (3.05, 30.0)

_OF_THE_JOB = (413, 422)


class ProcessPool:
    """A `eventflow.exactly_once.Pool` of processes on one machine; ``token`` is the pool's bearer token."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {token}"

    def lookup(self, keys: Sequence[str], idle_of: Sequence[str] = ()) -> list[QueuedJob]:
        answer = self._ask("POST", "/lookup", {"keys": list(keys), "idle_of": list(idle_of)})
        return msgspec.convert(answer["jobs"], list[QueuedJob])

    def submit(self, jobs: Sequence[Job]) -> list[str]:
        described = [
            {name: value for name, value in msgspec.to_builtins(_without_files(job)).items() if name != "files"}
            for job in jobs
        ]
        ids: list[str] = self._ask("POST", "/jobs", described)["ids"]
        return ids

    def spool(self, jobs: Mapping[str, Job]) -> list[str]:
        return [id for id, job in jobs.items() if self._put(f"/jobs/{id}/input", job.files)["taken"]]

    def withdraw(self, ids: Sequence[str], reason: str) -> None:
        self._ask("POST", "/withdraw", {"ids": list(ids), "reason": reason})

    def remove(self, ids: Sequence[str], reason: str) -> None:
        self._ask("POST", "/remove", {"ids": list(ids), "reason": reason})

    def watch(self, ended_within: float | None) -> list[Watched]:
        return msgspec.convert(self._ask("POST", "/watch", {"ended_within": ended_within})["jobs"], list[Watched])

    def recall(self, ids: Sequence[str]) -> list[Watched]:
        return msgspec.convert(self._ask("POST", "/watch", {"ids": list(ids)})["jobs"], list[Watched])

    def show(self, id: str) -> dict[str, Any]:
        """One job with its description, its result.json (when it has ended) and the log of its states."""
        return self._ask("GET", f"/jobs/{id}")

    def jobs(self) -> list[dict[str, Any]]:
        """Every job the pool remembers, oldest first."""
        rows: list[dict[str, Any]] = self._ask("GET", "/jobs")["jobs"]
        return rows

    def _put(self, path: str, files: Mapping[str, bytes]) -> dict[str, Any]:
        return self._send("PUT", path, msgspec.msgpack.encode(files))

    def _ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        return self._send(method, path, None if body is None else msgspec.json.encode(body))

    def _send(self, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        try:
            response = self._session.request(method, self.url + path, data=body, timeout=TIMEOUT, allow_redirects=False)
            answer = msgspec.json.decode(response.content, type=dict[str, Any])
        except (requests.RequestException, msgspec.DecodeError) as error:
            raise PoolUnavailable(f"no answer: {type(error).__name__}", where=f"pool {self.url}") from None
        if response.status_code in _OF_THE_JOB:
            raise PoolRefused(str(answer.get("error")), where=f"pool {self.url}")
        if response.status_code >= 400:  # a wrong token says nothing of the job either
            raise PoolUnavailable(f"{response.status_code} {answer.get('error')}", where=f"pool {self.url}")
        return answer


def _without_files(job: Job) -> Job:
    return msgspec.structs.replace(job, files={})
