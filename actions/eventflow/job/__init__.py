"""What runs a function: `runner.py` on a worker node, one file that needs nothing but a Python; `light.py` wraps it for
OpenWhisk.

Neither is ever imported by the actions; they travel as text.
"""

from importlib.resources import files

__shipped__ = ("runner.py",)
"""Files that an action's zip takes along with this package, though nothing imports them."""


def source() -> bytes:
    """The runner's source, as it goes into a job's sandbox."""
    return files(__name__).joinpath("runner.py").read_bytes()


def wrapper() -> dict[str, bytes]:
    """What a light function's zip needs besides its own files."""
    return {"__main__.py": files(__name__).joinpath("light.py").read_bytes(), "faas_runner.py": source()}
