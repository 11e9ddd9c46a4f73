"""`python -m benchmarks.commands [REGISTRY RECIPE]`: how soon short commands answer.

Each is a process of its own; they take turns with `python -c pass`, so that others on the machine
slow all of them alike. With a registry's address and a recipe also `lineside models list` there.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 15
Arguments = tuple[str, ...]
NOTHING: Arguments = ("-c", "pass")
LINESIDE: Arguments = ("-m", "pipeline.cli")
COMMANDS: dict[str, Arguments] = {
    "python -c pass": NOTHING,
    "python -c 'import typer'": ("-c", "import typer"),
    "lineside --help": (*LINESIDE, "--help"),
    "lineside models --help": (*LINESIDE, "models", "--help"),
    "lineside architectures": (*LINESIDE, "architectures"),
}


def seconds(arguments: Arguments) -> float:
    """How long Python takes for these arguments.

    Raises:
        CalledProcessError: it failed.
    """
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Print the least and the median of each command, and the median of its ratio to nothing."""
    commands: dict[str, tuple[str, ...]] = dict(COMMANDS)
    if len(sys.argv) == 3:
        uri, recipe = sys.argv[1:]
        arguments: Arguments = (*LINESIDE, "models", "list", recipe, "--registry", uri)
        commands["lineside models list"] = arguments
        commands["python -c 'import mlflow.tracking'"] = ("-c", "import mlflow.tracking")
    for arguments in commands.values():
        seconds(arguments)  # from the disk
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, arguments in commands.items():
            taken[name].append(seconds(arguments))
    nothing = taken["python -c pass"]
    for name, found in taken.items():
        ratios = [one / base for one, base in zip(found, nothing, strict=True)]
        print(
            f"{name:36} least {min(found):.3f} s, median {statistics.median(found):.3f} s, "
            f"{min(found) / min(nothing):5.1f} x nothing (median of rounds "
            f"{statistics.median(ratios):.1f})"
        )


if __name__ == "__main__":
    main()
