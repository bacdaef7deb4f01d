"""``python -m faasctl.local.openwhisk``: the host as the local stack starts it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from eventflow.errors import FaasError
from faasctl.local import lifeline
from faasctl.local.openwhisk.auth import parse_identity
from faasctl.local.openwhisk.serve import serve
from faasctl.local.openwhisk.settings import Settings, kinds_here


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m faasctl.local.openwhisk", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    keys = parser.add_mutually_exclusive_group(required=True)
    keys.add_argument("--auth", action="append", metavar="NS=UUID:KEY", help="a namespace and its key")
    keys.add_argument("--auth-file", type=Path, help="the same as a file of JSON, {NS: UUID:KEY}")
    parser.add_argument("--dir", type=Path, help="where entities survive a restart")
    parser.add_argument("--kinds", default=",".join(kinds_here()), help="runtime kinds, the default one first")
    limits = "limits per minute, and of calls in flight, as OpenWhisk has them by default"
    parser.add_argument("--throttle", action=argparse.BooleanOptionalAction, default=True, help=limits)
    options = parser.parse_args()
    lifeline.watch()
    kinds = tuple(options.kinds.split(","))
    if options.auth_file is not None:  # a command line stands in the process list
        options.auth = [f"{name}={key}" for name, key in json.loads(options.auth_file.read_text()).items()]
    settings = Settings(kinds=kinds, default_kind=kinds[0], throttled=options.throttle)
    try:
        serve(
            port=options.port,
            identities=[parse_identity(text) for text in options.auth],
            directory=options.dir,
            settings=settings,
            ready=lambda port: print(json.dumps({"ready": True, "port": port}), flush=True),
        )
    except FaasError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
