"""Environments: where the outside systems are, and the keys to them (`load` reads one)."""

from faasctl.environment.file import load
from faasctl.environment.find import local_stack_file
from faasctl.environment.model import Environment
from faasctl.environment.secret import Secret

__all__ = ["Environment", "Secret", "load", "local_stack_file"]
