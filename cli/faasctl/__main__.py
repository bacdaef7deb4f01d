"""`python -m faasctl` is `faasctl`."""

from faasctl.main import main

main()
