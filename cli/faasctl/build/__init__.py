"""From an action's folder to its zip: the same input always gives the same bytes."""

from faasctl.build.action import BuiltAction, build_action, build_actions
from faasctl.build.archive import BuildError, zip_folder
from faasctl.build.imports import needed_modules
from faasctl.build.vendor import Target, vendor

__all__ = [
    "BuildError",
    "BuiltAction",
    "Target",
    "build_action",
    "build_actions",
    "needed_modules",
    "vendor",
    "zip_folder",
]
