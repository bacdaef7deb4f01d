# ruff: noqa
# mypy: ignore-errors
# Read as a text and laid beside the action's code, where it runs as a program of its own.
import os
import sys

# The host hands the result pipe over under a number of its own; actions know it as 3, and know no other.
_n = int(sys.argv.pop())
if _n != 3:
    os.dup2(_n, 3)
os.closerange(4, 1024)


def _refuse(why):
    os.write(3, why.encode("utf-8", "backslashreplace"))
    os._exit(1)


def _check():
    # What the runtime's compile script checks before it starts the action: syntax of main__ alone, and silence.
    if os.path.isdir("virtualenv") and not any(
        os.path.exists("virtualenv/%s/activate_this.py" % d) for d in ("bin", "Scripts")
    ):
        _refuse("Invalid virtualenv. Zip file does not include 'activate_this.py'.\n")
    for path in ("main__/__init__.py", "main__.py"):
        if os.path.isfile(path):
            break
    else:
        if os.path.isdir("main__"):
            _refuse("expected str, bytes or os.PathLike object, not NoneType\n")
        _refuse("Zip file does not include main__\n")
    import io

    stderr, sys.stderr = sys.stderr, io.StringIO()
    try:
        with open(path, "rb") as f:
            compile(f.read().decode("utf-8"), "<unknown>", "exec", 0x400)
    except SyntaxError as ex:
        _refuse(ex.msg)
    except Exception as ex:
        _refuse("Traceback (most recent call last):\n%s: %s\n" % (type(ex).__name__, ex))
    said, sys.stderr = sys.stderr.getvalue(), stderr
    if said:
        _refuse(said)


_check()
os.write(3, b"checked\n")
del _check, _refuse, _n
# From here on: openwhisk-runtime-python, core/python3Action/lib/launcher.py, statement by statement.
import json, traceback, warnings
from os import fdopen
from sys import stderr, stdin, stdout

try:
    path_to_virtualenv = os.path.abspath("./virtualenv")
    if os.path.isdir(path_to_virtualenv):
        activate_this_file = path_to_virtualenv + "/bin/activate_this.py"
        if not os.path.exists(activate_this_file):
            activate_this_file = path_to_virtualenv + "/Scripts/activate_this.py"
        with open(activate_this_file) as f:
            code = compile(f.read(), activate_this_file, "exec")
            exec(code, dict(__file__=activate_this_file))
except Exception:
    traceback.print_exc(file=sys.stderr, limit=0)
    sys.exit(1)

from main__ import main as main

out = fdopen(3, "wb")
if os.getenv("__OW_WAIT_FOR_ACK", "") != "":
    out.write(json.dumps({"ok": True}, ensure_ascii=False).encode("utf-8"))
    out.write(b"\n")
    out.flush()

env = os.environ
while True:
    line = stdin.readline()
    if not line:
        break
    args = json.loads(line)
    payload = {}
    for key in args:
        if key == "value":
            payload = args["value"]
        else:
            env["__OW_%s" % key.upper()] = args[key]
    res = {}
    try:
        res = main(payload)
    except Exception as ex:
        print(traceback.format_exc(), file=stderr)
        res = {"error": str(ex)}
    out.write(json.dumps(res, ensure_ascii=False).encode("utf-8"))
    out.write(b"\n")
    stdout.flush()
    stderr.flush()
    out.flush()
