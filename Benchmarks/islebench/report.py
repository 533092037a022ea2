"""The table, and the file with everything that was measured."""
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess

from .measure import percentile


class Row:
    """One thing that was measured.

    `target` is the most that its median may be, in the row's unit; `factor` the most that the ratio to the first peer
    may be.
    """

    def __init__(self, case, label, values, unit="ms", target=None, factor=None, ratio=None, is_peer=False, note=""):
        self.case, self.label, self.unit, self.note = case, label, unit, note
        self.values = [value * 1000 for value in values] if unit == "ms" else list(values)
        self.target, self.factor, self.ratio, self.is_peer = target, factor, ratio, is_peer

    @property
    def is_noisy(self):
        return self.unit == "ms" and len(self.values) > 1 and percentile(self.values, 0.9) > 3 * min(self.values)

    @property
    def is_met(self):
        """Nothing without a target."""
        if self.factor is not None:
            return None if self.ratio is None else self.ratio <= self.factor
        return None if self.target is None else statistics.median(self.values) <= self.target

    def cells(self):
        def show(value):
            return f"{value:.0f}" if value >= 100 or self.unit == "KiB" else f"{value:.1f}"

        goal = ""
        if self.factor is not None:
            goal = f"{self.factor:g}x"
        elif self.target is not None:
            goal = f"{self.target:g}"
        notes = [self.note] if self.note else []
        if self.is_noisy:
            notes.append("noisy")
        return [("  " if self.is_peer else "") + self.label, str(len(self.values)), show(min(self.values)),
                show(statistics.median(self.values)), show(percentile(self.values, 0.9)), self.unit,
                "" if self.ratio is None else f"{self.ratio:.2f}x", goal,
                {None: "", True: "yes", False: "NO"}[self.is_met], "; ".join(notes)]

    def record(self):
        return {"case": self.case, "label": self.label, "unit": self.unit, "values": self.values,
                "min": min(self.values), "median": statistics.median(self.values),
                "p90": percentile(self.values, 0.9), "ratio": self.ratio, "target": self.target,
                "factor": self.factor, "met": self.is_met, "noisy": self.is_noisy, "peer": self.is_peer,
                "note": self.note}


HEADINGS = ["", "runs", "min", "median", "p90", "", "ratio", "target", "met", ""]


def table(rows):
    lines = [HEADINGS] + [row.cells() for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    right = {1, 2, 3, 4, 6, 7}
    return "\n".join("  ".join(cell.rjust(width) if column in right else cell.ljust(width)
                               for column, (cell, width) in enumerate(zip(line, widths))).rstrip() for line in lines)


def machine(programs):
    model = ""
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    commit = subprocess.run(["git", "-C", pathlib.Path(__file__).parent, "rev-parse", "--short", "HEAD"],
                            capture_output=True, text=True).stdout.strip()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    return {"processor": model, "processors": os.cpu_count(), "memory_mib": memory, "kernel": platform.release(),
            "programs": str(programs), "sizes": {name: (programs / name).stat().st_size for name in
                                                 ("isle", "isled", "isle-shim", "isle-init") if
                                                 (programs / name).exists()}, "commit": commit}


def write(folder, host, loads, rows, skipped, dropped, failures):
    path = pathlib.Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now().astimezone()
    target = path / f"{now:%Y-%m-%dT%H%M%S}.json"
    target.write_text(json.dumps({
        "date": now.isoformat(timespec="seconds"), "machine": host, "load": loads, "skipped": skipped,
        "peers_dropped": dropped, "failures": failures, "rows": [row.record() for row in rows]}, indent=1) + "\n")
    return target
