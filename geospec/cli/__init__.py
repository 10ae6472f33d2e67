"""The command line: one file per verb, each verb one call of the public API.

What a verb prints for people goes to standard output, or to standard error under ``--json``, whose
output stands alone on standard output. Whatever the user can mend is one line on standard error and
exit code 2; a defect of geospec keeps its traceback and exits with 1. torch is imported by the
verbs, not by their help.
"""

from .app import main

__all__ = ["main"]
