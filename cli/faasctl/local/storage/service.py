"""What door and pool share: the namespace, the records, and what happens at the end of a transfer."""

from __future__ import annotations

import itertools
import time
from urllib.parse import quote

from starlette.responses import Response

from faasctl.local.storage import billing
from faasctl.local.storage.authn import Accounts, Login
from faasctl.local.storage.billing import Mover, Status
from faasctl.local.storage.config import Config
from faasctl.local.storage.macaroons import Secret
from faasctl.local.storage.namespace import Entry, Missing, Namespace
from faasctl.local.storage.records import RecordSink
from faasctl.local.storage.replies import Refusal, url_path
from faasctl.local.storage.transfers import Promised, Received, Transfer

_CUT = Status(billing.FILE_CORRUPTED, "Connection lost before end of file.")
_OVER = Status(billing.RESOURCE, "Insufficient capacity: Exceeded allowed upload size")
_GONE = Status(billing.FILE_NOT_FOUND, "No such file or directory")


class Service:
    """One storage; ``door_port`` and ``pool_port`` are the ports of its two servers."""

    def __init__(
        self, *, config: Config, secret: Secret, namespace: Namespace, sink: RecordSink, door_port: int, pool_port: int
    ) -> None:
        self.config = config
        self.secret = secret
        self.accounts = Accounts(config.users, secret)
        self.namespace = namespace
        self.promised = Promised()
        self.door_port = door_port
        self.pool_port = pool_port
        self._sink = sink
        self._serial = itertools.count(1)

    @property
    def endpoint(self) -> str:
        """The door's URL without a path."""
        return f"https://localhost:{self.door_port}"

    @property
    def pool_endpoint(self) -> str:
        """The pool's."""
        return f"https://localhost:{self.pool_port}"

    def redirect(self, status: int, transfer: Transfer) -> Response:
        """The answer that sends a client to the pool for ``transfer``."""
        key = self.promised.promise(transfer)
        query = f"dcache-http-uuid={key}&dcache-http-ref={quote(self.endpoint, safe='')}"
        location = f"{self.pool_endpoint}{url_path(transfer.url_path)}?{query}"
        return Response(status_code=status, headers={"Location": location})

    def store(self, transfer: Transfer, received: Received, *, proxied: bool) -> Entry:
        """The end of an upload: the bytes are put in place, and only then announced.

        ``proxied`` bytes came through the door. Raises Refusal when they are not what was promised; the name then
        leads to a broken file, or, when they were proxied, to nothing.
        """
        status = self._judged(transfer, received)
        pnfsid = transfer.request.pnfsid
        summed_wrong = status.code == billing.FILE_CORRUPTED and not received.cut
        broken = status.code == billing.FILE_CORRUPTED and received.size > 0 and not proxied
        keep = status.code == billing.OK or broken
        entry = None
        if keep:
            self.namespace.partial(pnfsid).replace(self.namespace.data(pnfsid))
            adler32 = received.checksums["adler32"].hex()
            try:
                entry = self.namespace.complete(pnfsid, size=received.size, adler32=adler32, broken=broken)
            except Missing:
                status = _GONE
                self.namespace.data(pnfsid).unlink()
        else:
            self.namespace.partial(pnfsid).unlink(missing_ok=True)
            if proxied:
                self.namespace.withdraw(pnfsid)
        size = received.size if keep or summed_wrong else 0
        self._announce_upload(transfer, received, status, size=size, proxied=proxied)
        if status.code != billing.OK or entry is None:
            raise _refusal(status, proxied=proxied)
        return entry

    def read_ended(self, transfer: Transfer, *, proxied: bool, began: int, sent: int, active: int, cut: bool) -> None:
        """The end of a download."""
        status = Status(billing.DEFAULT_ERROR, "java.io.IOException: Connection reset by peer") if cut else Status()
        mover = Mover(
            began=began,
            ended=time.time_ns(),
            active=active,
            transferred=sent,
            file_size=transfer.size,
            endpoint=self._address(proxied),
            proxied=proxied,
            status=status,
        )
        self._sink.announce(billing.transfer(transfer.request, mover), billing.finished(transfer.request, mover))

    def refuse_read(self, request: billing.Request, *, size: int, status: Status, known: bool) -> None:
        """The door refuses a read."""
        record = billing.refused(request, size=size, now=time.time_ns(), status=status, known=known)
        self._sink.announce(record)

    def announce_removed(self, login: Login, entry: Entry) -> None:
        """A client has deleted a file."""
        self._sink.announce(
            billing.removed_by_door(
                login,
                path=entry.path,
                pnfsid=entry.pnfsid,
                size=entry.size or 0,
                now=time.time_ns(),
                serial=next(self._serial),
            )
        )

    def give_up(self) -> None:
        """Forget the clients that did not come to the pool in time."""
        patience = self.config.redirect_timeout
        late = Status(billing.TIMEOUT, f"No connection from client after {patience:.0f} seconds. Giving up.")
        for transfer in self.promised.overdue(time.time_ns() - int(patience * 1e9)):
            now = time.time_ns()
            mover = Mover(
                began=transfer.request.began,
                ended=now,
                active=0,
                transferred=0,
                file_size=transfer.size,
                endpoint=self._address(proxied=False),
                proxied=False,
                status=late,
            )
            self._sink.announce(billing.transfer(transfer.request, mover), billing.finished(transfer.request, mover))
            if transfer.request.write:
                self._announce_empty(transfer)

    def clean(self) -> None:
        """Delete the data that no name leads to, and announce it."""
        for gone in self.namespace.removed():
            self.namespace.clean(gone)
            self._sink.announce(
                billing.removed_by_pool(
                    pnfsid=gone.pnfsid,
                    size=gone.size,
                    storage_class=gone.storage_class,
                    now=time.time_ns(),
                    serial=next(self._serial),
                    why=f"cleaner-disk@{billing.DOMAIN} [PoolRemoveFiles]",
                )
            )

    def close(self) -> None:
        """The end of the service."""
        self._sink.close()
        self.namespace.close()

    def _judged(self, transfer: Transfer, received: Received) -> Status:
        if received.over:
            return _OVER
        if received.trouble:
            return Status(billing.RESOURCE, f"Insufficient capacity: {received.trouble}")
        if received.cut:
            return _CUT
        expected = transfer.content_md5
        if expected is not None and received.checksums["md5"] != expected:
            actual = f"[1:{received.checksums['adler32'].hex()}, 2:{received.checksums['md5'].hex()}]"
            return Status(
                billing.FILE_CORRUPTED,
                f"Post-processing failed: Checksum mismatch (expected=[2:{expected.hex()}], actual={actual})",
            )
        return Status()

    def _announce_upload(
        self, transfer: Transfer, received: Received, status: Status, *, size: int, proxied: bool
    ) -> None:
        cut_at_door = received.cut and proxied
        killed = Status(billing.DEFAULT_ERROR, "Transfer forcefully killed: Client disconnected")
        mover = Mover(
            began=received.began,
            ended=time.time_ns(),
            active=received.active,
            transferred=0 if received.over else received.size,
            file_size=size,
            endpoint=self._address(proxied),
            proxied=proxied,
            status=killed if cut_at_door else status,
        )
        seen = None
        if cut_at_door:
            seen = Status(billing.UNEXPECTED, "Client disconnected while proxying an upload.")
        elif status.code == billing.FILE_CORRUPTED and proxied:
            seen = Status(billing.UNEXPECTED, None)
        done = [billing.transfer(transfer.request, mover), billing.finished(transfer.request, mover, status=seen)]
        self._sink.announce(*(reversed(done) if cut_at_door else done))
        if cut_at_door:
            self._announce_empty(transfer)

    def _address(self, proxied: bool) -> str:
        return f"127.0.0.1:{self.door_port if proxied else self.pool_port}"

    def _announce_empty(self, transfer: Transfer) -> None:
        self._sink.announce(
            billing.removed_by_pool(
                pnfsid=transfer.request.pnfsid,
                size=0,
                storage_class=transfer.request.storage_class,
                now=time.time_ns(),
                serial=next(self._serial),
                why="Transfer failed and replica is empty",
            )
        )


def _refusal(status: Status, *, proxied: bool) -> Refusal:
    """How an upload with this end is answered."""
    if status is _OVER:
        return Refusal(500, reason="Exceeded allowed upload size")
    if status.code == billing.RESOURCE:
        return Refusal(507, (status.message or "").replace("capacity", "storage"))
    if status.code == billing.FILE_CORRUPTED:
        if proxied:
            return Refusal(400, "Received a bad PUT request.")
        return Refusal(400, reason=(status.message or "").removeprefix("Post-processing failed: "))
    return Refusal(500, reason=status.message)
