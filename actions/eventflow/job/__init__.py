"""What runs on the worker node: `runner.py`, one file that needs nothing but a Python.

It is never imported by the actions; they send it along, as text.
"""

from importlib.resources import files

__shipped__ = ("runner.py",)
"""Files that an action's zip takes along with this package, though nothing imports them."""


def source() -> bytes:
    """The runner's source, as it goes into a job's sandbox."""
    return files(__name__).joinpath(*__shipped__).read_bytes()
