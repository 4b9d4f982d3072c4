"""`turnout`: run, compile and check pipelines; and the executor of steps.

Results go to standard output, everything else to standard error. Exit status: 0 done, 1 the pipeline, its run or its
check failed, or a model was not reproduced, 2 the command was not understood, 3 compiled files are not up to date,
70 Turnout itself failed, 130 interrupted.
"""

from __future__ import annotations

import sys


def main() -> None:
    """The command line. `turnout exec` starts every step of a schedule, so it loads nothing else."""
    if sys.argv[1:2] == ["stage"]:
        if sys.argv[2:3] == ["out"]:
            # A container may be killed before its side-car has loaded what it needs. What it is told meanwhile waits.
            import signal

            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        from turnout.execution import staging

        sys.exit(staging.main(sys.argv[2:]))
    if sys.argv[1:2] in (["exec"], ["outside"]):
        from turnout.execution import executor
        from turnout.runtimes.forkserver import run_to_end

        program = executor.main if sys.argv[1] == "exec" else executor.describe_outside
        run_to_end(lambda: program(sys.argv[2:]))
    from turnout.cli.app import app

    try:
        app()
    except Exception as error:
        _crashed(error)
        sys.exit(70)


def _crashed(error: Exception) -> None:
    """Tell an error that nobody foresaw; 70 is EX_SOFTWARE of sysexits.h."""
    import traceback

    from turnout.cli.options import print_error

    traceback.print_exception(error)
    what = f"{type(error).__name__}: {error}"
    if "--json" in sys.argv:
        print_error("crash", [{"what": what, "where": "", "available": [], "hint": ""}])
    print(
        f"turnout failed: {what}\nThis is a fault of Turnout: please report it, with the lines above.", file=sys.stderr
    )
