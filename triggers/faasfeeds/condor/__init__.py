"""Tells what became of the jobs: one look at each schedd per tick, each end told once."""
