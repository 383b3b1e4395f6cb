"""`completion`: what a shell needs to complete commands and options, made by shtab from the parser itself."""

from __future__ import annotations

import argparse

from dapr.ext.workflow.cli.commands import NO, OK, Commands
from dapr.ext.workflow.cli.output import tell, write


def add_commands(commands: Commands, whole: argparse.ArgumentParser) -> None:
    """Adds `completion`, for the whole parser."""
    parser: argparse.ArgumentParser = commands.subparsers.add_parser(
        'completion',
        help='write the completion script for a shell',
        description='Writes a script for bash, zsh or tcsh that completes commands and options.',
        epilog='Example: dapr-workflow completion bash > ~/.local/share/bash-completion/completions/dapr-workflow',
    )
    parser.add_argument('shell', choices=('bash', 'zsh', 'tcsh'))
    parser.set_defaults(run=lambda options: _completion(options, whole))


def _completion(options: argparse.Namespace, whole: argparse.ArgumentParser) -> int:
    try:
        import shtab
    except ImportError:
        tell("The script is made by shtab, which is not installed: pip install 'dapr-stateful-workflow[cli]'.")
        return NO
    write(shtab.complete(whole, options.shell))
    return OK
