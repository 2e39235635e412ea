"""A server and all processes that it starts, which end with the command that started it, however that ends.

`run` is called by the command. It starts this file as the server's parent, in a process group of its own, which waits
for its standard input to be closed: the kernel closes it even where the command is killed.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

SECONDS_TO_END = 5.0  # between SIGTERM and SIGKILL


def run(command: Sequence[str]) -> int:
    """Run a server until it ends, or until this process is interrupted, terminated, hung up or killed.

    Returns:
        The server's exit code; 0 where a signal ended it.
    """
    from orchestrator.interrupts import interrupted_by_signals

    with interrupted_by_signals():
        process = subprocess.Popen([sys.executable, __file__, *command], stdin=subprocess.PIPE, start_new_session=True)
        assert process.stdin is not None
        try:
            return process.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            process.stdin.close()
            process.wait()


def _main(command: Sequence[str]) -> int:
    """Run the server; end its process group with it, or when the standard input is closed."""
    signal.signal(signal.SIGTERM, lambda *_: None)  # sent to the group, of which this process is a part
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def end_with_the_command() -> None:
        sys.stdin.buffer.read()
        os.killpg(0, signal.SIGTERM)
        try:
            server.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            os.killpg(0, signal.SIGKILL)

    threading.Thread(target=end_with_the_command, daemon=True).start()
    code = server.wait()
    os.killpg(0, signal.SIGTERM)  # what it left running
    return code


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
