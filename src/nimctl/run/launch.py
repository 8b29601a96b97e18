"""Start a command with an environment that never touches a disk.

ansible-runner writes the environment of the command that it starts into a file. So it starts this
instead, with almost none; the real environment comes through a pipe. Runs alone, without the package:
``python -I -S launch.py PIPE PIDFILE COMMAND [ARGUMENT ...]``.
"""

import json
import os
import sys


def main() -> None:
    """Read the environment from the pipe, leave the process id in PIDFILE and become the command."""
    pipe, pid_file, *command = sys.argv[1:]
    with open(pipe, encoding="utf-8") as stream:  # noqa: PTH123 - pathlib costs start-up time here
        environment = json.load(stream)
    with open(pid_file, "w", encoding="utf-8") as stream:  # noqa: PTH123 - as above
        stream.write(str(os.getpid()))
    os.execve(command[0], command, environment)  # noqa: S606 - the command is nimctl's own choice


if __name__ == "__main__":
    main()
