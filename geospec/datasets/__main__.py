"""``python -m geospec.datasets FOLDER`` writes the shipped pairs of creatures to FOLDER."""

import sys

from .samples import write_shipped

if len(sys.argv) != 2:
    sys.exit("usage: python -m geospec.datasets FOLDER")
for path in write_shipped(sys.argv[1]):
    print(path)
