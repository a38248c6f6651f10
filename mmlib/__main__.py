"""The command line, `python -m mmlib COMMAND`: what `mmlib.commands` declares, with its errors and exit statuses."""

import sys

from cyclopts import CycloptsError

from .commands import app


def main(arguments: list[str] | None = None) -> int:
    """Run a command; what a user can mend is one sentence on standard error and exit status 2."""
    arguments = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a file gets UTF-8, and a terminal what it can show
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="replace")
    try:
        if not arguments:
            raise ValueError("name a COMMAND: python -m mmlib --help lists them")
        return app(arguments, exit_on_error=False, print_error=False) or 0
    except CycloptsError as error:
        print(f"mmlib: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError, ConnectionResetError, EOFError) as error:
        from .hardware.guards import out_of_memory

        if "DataLoader worker" in str(error) or isinstance(error, ConnectionResetError | EOFError):
            print("mmlib: a worker process was killed (out of memory, or /dev/shm too small): take fewer --workers, or "
                  "docker run --shm-size=2g; go on with --resume", file=sys.stderr)  # fmt: skip
            return 2
        if not out_of_memory(error):
            raise
        less = "not enough memory for this: a smaller batch, size or widths needs less"
        print(f"mmlib: {str(error) if isinstance(error, MemoryError) and str(error) else less}", file=sys.stderr)
        return 2
    except (ValueError, OSError, FloatingPointError, ModuleNotFoundError) as error:
        print(f"mmlib: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        print(f"mmlib: {str(error) or 'stopped'}", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
