# ruff: noqa
# mypy: ignore-errors
# Runs in the action's process, as a program: checks what the runtime's compile script (core/python3Action/bin/compile)
# checks, hands descriptor 3 over, and becomes exec__.py, the launcher. It imports nothing that an action may shadow.
import _signal
import os
import sys

_signal.signal(_signal.SIGINT, _signal.default_int_handler)  # a shell that starts the host behind itself ignores it
_number = int(sys.argv.pop())
if _number != 3:
    os.dup2(_number, 3)
os.closerange(4, 1024)
sys.path[0] = os.getcwd()


def _refuse(why):
    os.write(3, why.encode("utf-8", "backslashreplace"))
    os._exit(1)


def _check():
    # The syntax of main__ alone, and silence.
    if os.path.isdir("virtualenv") and not any(
        os.path.exists("virtualenv/%s/activate_this.py" % d) for d in ("bin", "Scripts")
    ):
        _refuse("Invalid virtualenv. Zip file does not include 'activate_this.py'.\n")
    path = next((p for p in ("main__/__init__.py", "main__.py") if os.path.isfile(p)), None)
    if path is None and not os.path.isdir("main__"):
        _refuse("Zip file does not include main__\n")
    import io

    said = sys.stderr = io.StringIO()
    try:
        with open(path, "rb") as f:
            compile(f.read().decode("utf-8"), "<unknown>", "exec", 0x400)
    except SyntaxError as ex:
        _refuse(ex.msg)
    except Exception as ex:
        sys.__stderr__.write(ex)
    sys.stderr = sys.__stderr__
    if said.getvalue():
        _refuse(said.getvalue())


if sys.argv.pop() == "source":
    try:
        _check()
    except Exception:
        import traceback

        _refuse(traceback.format_exc())
    os.write(3, b"checked\n")

sys.argv[0] = "exec__.py"
__file__ = os.path.abspath("exec__.py")
with open(__file__, "rb") as _source:
    _code = compile(_source.read(), __file__, "exec")
del _number, _refuse, _check, _source
exec(_code)
