"""Runs in a process of its own that has loaded the engine, and forks a rank whenever it is asked to.

A rank then starts in milliseconds instead of importing numpy again. One line of JSON in, one out:
{"start": [command, environment, log]} gives the process id, {"poll": pid} the exit code or null.
"""

import json
import os
import signal
import sys

from nimctl.rehearsal.engine import leader, main, worker

assert leader
assert worker


def start(command, environment, log):
    child = os.fork()
    if child:
        return child
    output = os.open(log, os.O_WRONLY | os.O_CREAT)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.clear()
    os.environ.update(environment)
    main.cli(command)
    raise AssertionError("cli() ends the process")


def poll(child):
    done, status = os.waitpid(child, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None


signal.signal(signal.SIGINT, signal.SIG_IGN)
for line in sys.stdin:
    ask = json.loads(line)
    print(json.dumps(start(*ask["start"]) if "start" in ask else poll(ask["poll"])), flush=True)
