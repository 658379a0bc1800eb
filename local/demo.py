"""`python -m local.demo`: a question about this project's own documents, by the commands that anybody would type.

Uses the suite that runs on the data directory; when none does, starts one and stops it afterwards.
"""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping

from local import settings
from local.errors import LocalError
from local.supervisor.progress import Progress
from local.supervisor.supervise import make_stack
from local.system.datadir import DataDirectory

_QUESTION = "What survives a power cut?"
_COMMANDS = (("ingest", "README.md", "docs"), ("ask", _QUESTION))


def main(environ: Mapping[str, str] = os.environ) -> int:
    """Returns the exit code of the first command that failed, or 0."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    progress = Progress(sys.stdout)
    try:
        with _suite(environ, progress) as gateway:
            for arguments in _COMMANDS:
                progress.line(f"\n$ {shlex.join(['pergola', *arguments])}")
                if code := _pergola(arguments, {**environ, "PERGOLA_URL": gateway}):
                    return code
            progress.line()
    except LocalError as error:
        progress.problem(str(error))
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


@contextlib.contextmanager
def _suite(environ: Mapping[str, str], progress: Progress) -> Iterator[str]:
    """The gateway's URL of the suite that runs, or of one that runs during the block."""
    running = DataDirectory(settings.data_directory(settings.load(environ))).running_state()
    if running is not None:
        progress.line(f"Pergola runs at {running['gateway']} since {running['since']}.")
        yield str(running["gateway"])
        return
    stack = make_stack(environ, progress)
    progress.line("No suite runs here; starting one for the demo.")
    try:
        stack.start()
        yield f"http://{stack.address('gateway')}"
    finally:
        progress.line()
        stack.stop()


def _pergola(arguments: tuple[str, ...], environ: Mapping[str, str]) -> int:
    """Runs the `pergola` command in the checkout, so that documents are named by their paths in it."""
    command = [sys.executable, "-m", "pergola", *arguments]
    return subprocess.run(command, cwd=settings.CHECKOUT, env=environ, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
