"""A dialog with the client on a terminal."""
import fcntl
import os
import pty
import select
import struct
import termios
import time


def dialog(daemon, arguments, steps, rows=24, columns=80, seconds=20):
    """Waits for each text in turn and types the answer; gives exit code and everything that was shown."""
    pid, master = pty.fork()
    if pid == 0:
        os.environ["ISLE_SOCKET"] = daemon.socket
        os.environ["TERM"] = "xterm"
        program = str(daemon.programs / "isle")
        time.sleep(0.1)
        os.execv(program, [program, *arguments])
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    shown, seen, end = b"", 0, time.monotonic() + seconds
    waiting = list(steps)
    while time.monotonic() < end:
        if waiting and waiting[0][0] in shown[seen:]:
            seen = len(shown)
            os.write(master, waiting.pop(0)[1])
        ready, _, _ = select.select([master], [], [], 0.1)
        if ready:
            try:
                data = os.read(master, 65536)
            except OSError:
                break
            if not data:
                break
            shown += data
    else:
        os.kill(pid, 9)
    _, status = os.waitpid(pid, 0)
    os.close(master)
    return os.waitstatus_to_exitcode(status), shown
