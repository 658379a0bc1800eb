"""Reads the command line, runs a subcommand, and says how it went."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Final, NoReturn, TextIO

from pergola import _address
from pergola._client import Pergola
from pergola._command import ask, ingest, jobs, search, status
from pergola._command.output import Output
from pergola._errors import NotReachable, PergolaError

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOT_REACHABLE: Final = 3
INTERRUPTED: Final = 128 + signal.SIGINT
BROKEN_PIPE: Final = 128 + signal.SIGPIPE

_ENDING: Final = f"""\
exit codes:
  {OK}    it worked
  {FAILED}    it failed, or a part of it did
  {USAGE}    the command line is wrong
  {NOT_REACHABLE}    nothing answers at the address
  {INTERRUPTED}  Ctrl-C

Without --url the address is PERGOLA_URL, else that of the suite which `make run`
keeps running here, else {_address.DEFAULT_URL}. A key is taken from PERGOLA_API_KEY.
"""


def run() -> NoReturn:
    """What the script calls. Does not return."""
    code = main(sys.argv[1:], sys.stdout, sys.stderr)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = BROKEN_PIPE
    if code == BROKEN_PIPE:
        # The interpreter flushes once more on its way out, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def main(
    arguments: Sequence[str],
    stdout: TextIO,
    stderr: TextIO,
    connect: Callable[[str], Pergola] = Pergola,
) -> int:
    """Runs one command line and returns its exit code. Wrong usage ends in SystemExit(2), as argparse does it.

    `connect` makes the client for an address.
    """
    options = parser().parse_args(arguments)
    output = Output(stdout, stderr, as_json=options.json)
    command: Callable[[Pergola, argparse.Namespace, Output], int] = options.command
    try:
        address = _address.find(options.url)
    except PergolaError as error:
        output.error(error)
        return USAGE
    try:
        with connect(address.url) as client:
            return command(client, options, output)
    except NotReachable as error:
        output.error(error, hint="Start Pergola with `make run`, or name its address with --url or PERGOLA_URL.")
        return NOT_REACHABLE
    except PergolaError as error:
        output.error(error)
        return FAILED
    except KeyboardInterrupt:
        output.note("Stopped.")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has seen enough, for example `head`.
        return BROKEN_PIPE


def parser() -> argparse.ArgumentParser:
    """The command line."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--url", help="address of the gateway, http://host:port")
    common.add_argument("--json", action="store_true", help="write JSON, one object a line")
    top = argparse.ArgumentParser(
        prog="pergola",
        description="Documents in, questions answered with citations.",
        epilog=_ENDING,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for module in (status, ingest, ask, search, jobs):
        name, text = module.NAME, module.SUMMARY
        sub = commands.add_parser(name, help=text, description=text, parents=[common])
        module.add_arguments(sub)
        sub.set_defaults(command=module.run)
    return top
