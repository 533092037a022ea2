"""Runs commands, takes times, and what is worked out from them."""
import os
import shutil
import signal
import statistics
import tempfile
import time


class Failure(Exception):
    """A command that is measured did not do what it should."""


def timed(command, environment=None, timeout=180):
    """Seconds from just before the program is started until it has ended with 0, its output thrown away.

    `posix_spawn` and `wait`, because what `subprocess` does around them takes longer than some of what is measured.
    """
    path = shutil.which(command[0])
    if not path:
        raise Failure(f"{command[0]} was not found")

    def late(_signal, _frame):
        raise Failure(f"`{' '.join(command)}` took over {timeout} s")

    with tempfile.TemporaryFile() as errors:
        actions = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                   (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
                   (os.POSIX_SPAWN_DUP2, errors.fileno(), 2)]
        pid = None
        before = signal.signal(signal.SIGALRM, late)
        signal.setitimer(signal.ITIMER_REAL, timeout)
        try:
            start = time.perf_counter()
            pid = os.posix_spawn(path, command, environment or os.environ, file_actions=actions)
            _, status = os.waitpid(pid, 0)
            seconds = time.perf_counter() - start
            pid = None
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            if pid:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code != 0:
            errors.seek(0)
            text = errors.read().decode(errors="replace").strip()
            raise Failure(f"`{' '.join(command)}` ended with {code}: {text[-500:]}")
    return seconds


def side_by_side(count, warm_up, ours, peers):
    """Runs `ours` and every peer in turn, so that a change of the machine's load meets all of them alike.

    `ours` and the values of `peers` are functions that give seconds. A peer that fails is dropped, with the reason.
    """
    dropped = {}

    def attempt(name, function):
        try:
            return function()
        except Failure as failure:
            dropped[name] = str(failure)

    for _ in range(warm_up):
        ours()
        for name, function in peers.items():
            if name not in dropped:
                attempt(name, function)
    samples, others = [], {name: [] for name in peers}
    for _ in range(count):
        samples.append(ours())
        for name, function in peers.items():
            if name not in dropped:
                others[name].append(attempt(name, function))
    return samples, {name: values for name, values in others.items() if name not in dropped}, dropped


def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(part * (len(ordered) - 1))))]


def ratio(ours, theirs):
    """The median over pairs of runs that followed each other."""
    return statistics.median(a / b for a, b in zip(ours, theirs))


def memory(pid):
    """Kilobytes of a process: resident, and private to it (smaps_rollup, proc(5))."""
    values = {}
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as lines:
        for line in list(lines)[1:]:
            name, value = line.split()[:2]
            values[name[:-1]] = int(value)
    return {"rss": values["Rss"], "private": values["Private_Clean"] + values["Private_Dirty"]}
