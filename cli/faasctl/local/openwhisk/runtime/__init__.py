"""Action containers without containers: what the Go proxy and the Python launcher do, in processes."""
