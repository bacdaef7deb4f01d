"""A scientist's function on its way from a folder to the registry: read, check, try out, pack, push."""
