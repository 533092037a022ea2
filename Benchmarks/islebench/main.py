"""From the options to the table."""
import os
import signal
import sys
import traceback

from . import report
from .cases import CASES as OWN_CASES
from .clientcases import CLIENT_CASES
from .environment import Bench
from .measure import Failure

# The memory of the daemon comes last: it says what all the work before has left of it.
CASES = {**{name: case for name, case in OWN_CASES.items() if name != "memory"}, **CLIENT_CASES,
         "memory": OWN_CASES["memory"]}


class Results:
    """What the cases hand in."""

    def __init__(self):
        self.rows, self.skipped, self.dropped, self.failures = [], {}, {}, {}

    def add(self, *arguments, **options):
        row = report.Row(*arguments, **options)
        self.rows.append(row)
        return row


def interrupt(_signal, _frame):
    raise KeyboardInterrupt


def load():
    return [round(value, 2) for value in os.getloadavg()]


def measure(bench, names, results):
    for name in names:
        if name in bench.missing:
            results.skipped[name] = bench.missing[name]
            continue
        print(f"{name} … (load {load()[0]})", flush=True)
        try:
            CASES[name](bench, results)
        except (Failure, AssertionError, OSError) as failure:
            results.failures[name] = str(failure)
            print(f"FAILED {name}: {failure}\n{bench.daemon.log_tail(8)}", file=sys.stderr, flush=True)
        bench.clear()


def main(options):
    if os.geteuid() != 0:
        print("the benchmarks need root: they start a daemon of their own", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, interrupt)
    names = [name for name in CASES if not options.names or name in options.names]
    results, loads, left = Results(), {"start": load()}, []
    print(f"load average {loads['start']}, {os.cpu_count()} processors", flush=True)
    bench, interrupted = None, False
    try:
        bench = Bench(options)
        bench.prepare(names)
        measure(bench, names, results)
    except KeyboardInterrupt:
        interrupted = True
    except Exception:  # noqa: BLE001 - what is there has to be cleaned up and shown
        results.failures["preparation"] = traceback.format_exc()
        print(traceback.format_exc(), file=sys.stderr)
    finally:
        if bench:
            left = bench.close()
    loads["end"] = load()
    if results.rows:
        print("\n" + report.table(results.rows))
        path = report.write(options.results, report.machine(bench.programs), loads, results.rows, results.skipped,
                            results.dropped, results.failures)
        print(f"\nload average {loads['start']} at the start, {loads['end']} at the end; written to {path}")
        print("ratio: Isle's time by the peer's, median over pairs of runs; in the row of Isle, what its target is about")
    for kind, entries in (("not measured", results.skipped), ("peer left out", results.dropped),
                          ("FAILED", results.failures)):
        for name, reason in entries.items():
            print(f"{kind}: {name}: {reason}")
    if left:
        print("left behind:\n  " + "\n  ".join(left), file=sys.stderr)
    if interrupted:
        return 130
    return 1 if results.failures else 0
