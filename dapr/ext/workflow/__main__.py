"""`python -m dapr.ext.workflow doctor`: what is installed, and whether the sidecar answers."""

# Nothing but the standard library and the doctor, which does the same: this runs where files of another distribution
# have come over ours, too.
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from dapr.ext.workflow import doctor


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        arguments: The command line; None: that of the process.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog='python -m dapr.ext.workflow')
    commands = parser.add_subparsers(metavar='COMMAND', required=True)
    doctor.add_command(commands)
    options = parser.parse_args(arguments)
    code: int = options.run(options)
    return code


if __name__ == '__main__':
    sys.exit(main())
