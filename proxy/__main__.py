"""`python -m proxy` is `tollkeeper`."""

from proxy.cli import main

main()
