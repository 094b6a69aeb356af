"""python -m notifyq: the same as the command notifyq."""

from notifyq.cli import main

main()
