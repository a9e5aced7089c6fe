"""`python -m anyres.cli` is the command `anyres`."""

from anyres.cli.app import main

main()
