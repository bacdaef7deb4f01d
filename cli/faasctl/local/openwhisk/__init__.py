"""A host that behaves like Apache OpenWhisk, for one laptop and for tests.

The REST API is that of OpenWhisk's controller, the Python runtime that of its action containers; unmodified clients
and functions run against it. One process serves the API, each action container is a process of its own. It isolates
nothing: whoever may create an action may run any code as the user who started the host.
"""
