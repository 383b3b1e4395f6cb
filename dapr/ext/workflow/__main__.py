"""`python -m dapr.ext.workflow`: the same as `dapr-workflow`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

_MODULE = 'python -m dapr.ext.workflow'
_SCRIPT = 'dapr-workflow'


def main(arguments: Sequence[str] | None = None, program: str = _MODULE) -> int:
    """Runs a command.

    Args:
        arguments: The command line; None (default): that of the process.
        program: What the program is called.

    Returns:
        The exit code, see `cli.commands`.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    # The doctor alone needs nothing but the standard library: it runs where another distribution's files have come over
    # ours, too, and whatever else is imported may not.
    if arguments[:1] == ['doctor']:
        from dapr.ext.workflow import doctor

        return doctor.main(arguments[1:], f'{program} doctor')
    from dapr.ext.workflow.cli.main import main as run

    return run(arguments, program)


def console() -> int:
    """What the console script `dapr-workflow` runs."""
    return main(program=_SCRIPT)


if __name__ == '__main__':
    sys.exit(main())
