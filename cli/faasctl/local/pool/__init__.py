"""A small pool for laptops and tests: it runs each job's runner in a process of its own.

It keeps HTCondor's contract (`eventflow.exactly_once.Pool`) over HTTP on the loopback address. It is no isolation:
all jobs run under one account, and one job can read another's files and memory. Use HTCondor for anything else.
"""
