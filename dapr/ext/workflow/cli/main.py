"""The command line as a whole: its parser, and how its errors are told."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import grpc

from dapr.ext.workflow import doctor
from dapr.ext.workflow._durabletask.transport.errors import describe
from dapr.ext.workflow._version import __version__
from dapr.ext.workflow.cli import (
    completion,
    dashboard,
    dev,
    exporting,
    listing,
    purging,
    replaying,
    showing,
    stack,
    steering,
    watching,
)
from dapr.ext.workflow.cli.commands import INTERRUPTED, NOT_FOUND, OK, REFUSED, USAGE, Commands, NotFound
from dapr.ext.workflow.cli.connection import connection_options
from dapr.ext.workflow.cli.output import tell

PROGRAM = 'dapr-workflow'

_EPILOG = """exit codes: 0 done; 1 the answer is no (the workflow failed, something is wrong); 2 the command line is
wrong; 3 there is no such instance; 4 the sidecar refused the call or could not be reached."""


def new_parser(program: str = PROGRAM) -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(prog=program, description='See and steer Dapr workflows.', epilog=_EPILOG)
    parser.add_argument('--version', action='version', version=f'{PROGRAM} {__version__}')
    subparsers = parser.add_subparsers(metavar='COMMAND', required=True)
    commands = Commands(subparsers, connection_options())
    for group in (listing, showing, exporting, watching, steering, purging, stack, replaying, dev, dashboard):
        group.add_commands(commands)
    doctor.add_command(subparsers)
    completion.add_commands(commands, parser)
    return parser


def main(arguments: Sequence[str] | None = None, program: str = PROGRAM) -> int:
    """Runs a command.

    Args:
        arguments: The command line; None (default): that of the process.
        program: What the program is called.

    Returns:
        The exit code, see `commands`.
    """
    arguments = exporting.joined(list(sys.argv[1:] if arguments is None else arguments))
    if arguments[:1] == ['emulator']:
        return dev.emulator(arguments[1:], program)
    options = new_parser(program).parse_args(arguments)
    try:
        code: int = options.run(options)
        return code
    except NotFound as error:
        tell(str(error))
        return NOT_FOUND
    except grpc.RpcError as error:
        tell(describe(error))
        return NOT_FOUND if error.code() is grpc.StatusCode.NOT_FOUND else REFUSED
    except (ValueError, OSError, TimeoutError) as error:
        if isinstance(error, BrokenPipeError):  # `| head` has read enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return OK
        tell(f'{program}: {error}')
        return REFUSED if isinstance(error, TimeoutError) else USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
