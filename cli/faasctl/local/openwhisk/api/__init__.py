"""The REST API, collection by collection."""
