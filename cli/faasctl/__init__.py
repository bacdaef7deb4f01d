"""faasctl: event-driven workflows for scientific storage."""

__version__ = "0.1.0"
