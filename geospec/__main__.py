"""``python -m geospec``: the command line, as ``geospec`` is."""

from .cli import main

main()
