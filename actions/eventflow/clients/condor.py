"""The pool port on HTCondor: remote submission to one schedd, through the `htcondor2` bindings.

The bindings keep one security session per process: a process has one identity, that of the first token it used.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from eventflow.clients import condor_ad
from eventflow.clients.condor_login import IdToken, Login
from eventflow.errors import FaasError
from eventflow.exactly_once import Job, PoolRefused, PoolUnavailable, QueuedJob
from eventflow.watching import Watched

RELEASED_AFTER = (0.05, 1.0, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Pauses (s) before each look whether the schedd has released spooled jobs; few, since each look scans its queue."""

ANONYMOUS = "unauthenticated@unmapped"
"""Whom HTCondor takes somebody for whom it does not know."""

_SCHEDD_SAYS = re.compile(r"(?:SCHEDD|Submit):-?\d+:(.*)", re.DOTALL)


def schedds(collector: str, login: str | Login, names: Sequence[str]) -> dict[str, HTCondorPool]:
    """The named schedds of a pool, each a pool of its own; without names the first that the collector knows.

    ``collector`` is ``host:port``, ``login`` an IDTOKEN that may read and write, or another way to be known. Nothing is
    connected yet.
    """
    folder = tempfile.TemporaryDirectory(prefix="faas-condor-")  # goes with the last of the pools
    known = IdToken(login) if isinstance(login, str) else login
    htcondor2 = _bindings()
    known.configure(htcondor2, Path(folder.name))
    return {name: HTCondorPool(htcondor2, collector, name, folder, known) for name in names or [""]}


def _bindings() -> Any:
    """Import `htcondor2` without any configuration of the machine (an action has no PATH and no HOME either)."""
    os.environ["CONDOR_CONFIG"] = "ONLY_ENV"  # read at import
    import htcondor2

    return htcondor2


class Cluster:
    """Jobs submitted together whose input is still to come. The bindings can spool only all of them."""

    def __init__(self, result: Any, folders: dict[str, Path]) -> None:
        self.result = result
        self.folders = folders
        self.made = time.monotonic()


class Setup(msgspec.Struct, frozen=True):
    """How a schedd is set up: whom it takes the platform for (`ANONYMOUS`: it refuses the token, though whoever asks
    may read), its version (empty where it tells none), and what it requires of jobs (`SUBMIT_REQUIREMENT_NAMES`)."""

    user: str
    version: tuple[int, ...]
    requirements: frozenset[str]


class HTCondorPool:
    """A `eventflow.exactly_once.Pool` on one schedd."""

    def __init__(
        self, htcondor2: Any, collector: str, schedd: str, folder: tempfile.TemporaryDirectory[str], login: Login
    ) -> None:
        self._htcondor2 = htcondor2
        self._collector = collector
        self._name = schedd
        self._folder = folder
        self._login = login
        self._schedd: Any = None
        self._ad: Any = None
        self._unspooled: dict[str, Cluster] = {}

    def lookup(self, keys: Sequence[str], idle_of: Sequence[str] = ()) -> list[QueuedJob]:
        return self._query(condor_ad.lookup_constraint(keys, idle_of))

    def submit(self, jobs: Sequence[Job]) -> list[str]:
        described = condor_ad.description(jobs[0], jobs[0].files)
        folders = [Path(tempfile.mkdtemp(prefix="job-", dir=self._folder.name)) for _ in jobs]
        items = [condor_ad.item(job, str(folder)) for job, folder in zip(jobs, folders, strict=True)]
        try:
            with self._errors():
                result = self._connected().submit(self._htcondor2.Submit(described), spool=True, itemdata=iter(items))
        except BaseException:
            _remove(folders)
            raise
        first = result.first_proc()
        ids = [f"{result.cluster()}.{first + number}" for number in range(len(jobs))]
        self._forget_abandoned()
        self._unspooled[str(result.cluster())] = Cluster(result, dict(zip(ids, folders, strict=True)))
        return ids

    def spool(self, jobs: Mapping[str, Job]) -> list[str]:
        """As the port has it; raises what went wrong only when not one job could be spooled."""
        failure: FaasError | None = None
        sent: list[str] = []
        for number in dict.fromkeys(id.partition(".")[0] for id in jobs):
            cluster = self._unspooled.pop(number, None)
            if cluster is not None:
                try:
                    sent += self._send(cluster, jobs)
                except (PoolUnavailable, PoolRefused) as error:
                    failure = error
                finally:
                    _remove(cluster.folders.values())
        states = {row.id: row.state for row in self._settled(sent)} if sent else {}
        late = [id for id in sent if states.get(id) == "spooling"]
        if late:
            self.withdraw(late, "its input did not arrive")
        taken = [id for id in sent if states.get(id, "spooling") != "spooling"]
        if failure is not None and not taken:
            raise failure
        return taken

    def withdraw(self, ids: Sequence[str], reason: str) -> None:
        self._remove(condor_ad.spooling_constraint(ids), reason)

    def remove(self, ids: Sequence[str], reason: str) -> None:
        self._remove(condor_ad.ids_constraint(ids), reason)

    def ad(self, id: str, attributes: Sequence[str]) -> dict[str, Any] | None:
        """These attributes of a job's ad, those that it has; None when the queue does not hold the job."""
        with self._errors():
            found = self._connected().query(condor_ad.ids_constraint([id]), list(attributes))
        return {name: found[0][name] for name in attributes if name in found[0]} if found else None

    def setup(self) -> Setup:
        """How the schedd is set up; raises `PoolUnavailable`."""
        with self._errors():
            self._connected()
            try:
                names = str(self._htcondor2.RemoteParam(self._ad)["SUBMIT_REQUIREMENT_NAMES"])
            except KeyError:
                names = ""
        try:
            user = str(self._htcondor2.ping(self._ad, "WRITE")["MyRemoteUserName"])
        except self._htcondor2.HTCondorException:
            user = ANONYMOUS
        found = re.search(r"CondorVersion: (\d+)\.(\d+)\.(\d+)", str(self._ad.get("CondorVersion", "")))
        version = tuple(map(int, found.groups())) if found else ()
        return Setup(user=user, version=version, requirements=frozenset(names.replace(",", " ").split()))

    def watch(self, ended_within: float | None) -> list[Watched]:
        return self._watched(condor_ad.watch_constraint(ended_within), history=False)

    def recall(self, ids: Sequence[str]) -> list[Watched]:
        """As the port has it; a search in the history takes a second and more, so only for what left the queue."""
        found = {row.id: row for row in self._watched(condor_ad.ids_constraint(ids), history=False)} if ids else {}
        gone = [id for id in ids if id not in found]
        if gone:
            found |= {row.id: row for row in self._watched(condor_ad.ids_constraint(gone), history=True)}
        return list(found.values())

    def _watched(self, constraint: str, *, history: bool) -> list[Watched]:
        with self._errors():
            ask = self._connected().history if history else self._connected().query
            ads = ask(constraint, list(condor_ad.WATCHED))
        now = time.time()
        return [row for ad in ads if (row := condor_ad.watched(ad, self._name, now)) is not None]

    def _send(self, cluster: Cluster, jobs: Mapping[str, Job]) -> list[str]:
        """Spool a cluster whole; returns its ids. One that lost a job to another submitter is given up whole.

        Its other jobs are delivered again, then without the lost one. The submitter that came first always keeps
        all of its jobs, so somebody always gets ahead.
        """
        mine = [id for id in cluster.folders if id in jobs]
        try:
            if len(mine) == len(cluster.folders):
                _write({folder: jobs[id].files for id, folder in cluster.folders.items()})
                with self._errors():
                    self._connected().spool(cluster.result)
                return mine
        except PoolUnavailable:
            if len(self._query(condor_ad.ids_constraint(mine))) == len(mine):
                raise  # else one was withdrawn a moment ago, and the schedd hung up because of it
        self.withdraw(mine, "another job of its cluster was lost to another submitter")
        return []

    def _settled(self, ids: Sequence[str]) -> list[QueuedJob]:
        """The jobs once the schedd has released them all.

        It does so about a second after it has their input (its spooling process takes a nap before it ends). Until
        then a schedd that dies would leave them behind, so they do not count as submitted yet.
        """
        for pause in RELEASED_AFTER:
            time.sleep(pause)
            found = self._query(condor_ad.ids_constraint(ids))
            if all(row.state != "spooling" for row in found):
                break
        return found

    def _query(self, constraint: str) -> list[QueuedJob]:
        with self._errors():
            ads = self._connected().query(constraint, list(condor_ad.PROJECTION))
        now = time.time()
        return [row for ad in ads if (row := condor_ad.queued(ad, self._name, now)) is not None]

    def _remove(self, constraint: str, reason: str) -> None:
        with self._errors():
            # The reason as a tuple: given as a string, the bindings (25.14) drop it.
            done = self._connected().act(self._htcondor2.JobAction.Remove, constraint, reason=(reason, 0))
        if done["TotalPermissionDenied"]:
            raise PoolRefused("may not remove these jobs", where=self._where)

    def _forget_abandoned(self) -> None:
        """Drop what was never spooled because a step in between failed; the jobs themselves are found too old."""
        for number, cluster in list(self._unspooled.items()):
            if time.monotonic() - cluster.made > 600:
                _remove(self._unspooled.pop(number).folders.values())

    def _connected(self) -> Any:
        self._login.renew()
        if self._schedd is None:
            collector = self._htcondor2.Collector(self._collector)
            kind = self._htcondor2.DaemonType.Schedd
            ads = {str(ad["Name"]): ad for ad in collector.locateAll(kind)}
            name = self._name or min(ads, default="")
            if name not in ads:
                known = ", ".join(sorted(ads)) or "none"
                raise PoolUnavailable(
                    f"the collector knows no schedd {name}", where=self._where, hint=f"it knows {known}"
                )
            self._name = name
            self._ad = ads[name]
            self._schedd = self._htcondor2.Schedd(ads[name])
        return self._schedd

    @property
    def _where(self) -> str:
        return f"schedd {self._name or '(any)'} of {self._collector}"

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Tell what the schedd says of a job from everything else, which says nothing of the job.

        A token that has expired or may not write is the platform's trouble: every job would fail alike, so the
        events wait until it is mended.
        """
        try:
            yield
        except self._htcondor2.HTCondorException as error:
            said = str(error).strip()
            found = _SCHEDD_SAYS.search(said)
            if found:
                raise PoolRefused(found[1].strip()[:500], where=self._where) from None
            self._schedd = None  # it may have come back elsewhere
            hint = "renew the pool's token in the environment" if "AUTHENTICATE" in said or "DENIED" in said else ""
            raise PoolUnavailable(said[:500], where=self._where, hint=hint) from None


def _write(inputs: Mapping[Path, Mapping[str, bytes]]) -> None:
    """Write each folder's files, one that several share (the function's code) only once."""
    written: dict[tuple[str, bytes], Path] = {}
    for folder, files in inputs.items():
        for name, content in files.items():
            if (name, content) in written:
                os.link(written[name, content], folder / name)
                continue
            descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            written[name, content] = folder / name


def _remove(folders: Iterable[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
