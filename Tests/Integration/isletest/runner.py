"""Finds the tests, gives them what they need, counts, and looks for what is left at the end."""
import importlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

from . import cache, host, images
from .daemon import Daemon


class Skip(Exception):
    """The test needs something that this machine does not have."""


class Environment:
    """What tests share: one namespace, one daemon with images in it."""

    def __init__(self, programs):
        self.programs = programs
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="isle-test-", dir="/var/tmp"))
        os.chmod(self.folder, 0o711)
        tag = f"{os.getpid() % 100000}"
        self.namespace = host.Namespace(f"isle-test-{tag}")
        self.daemon = Daemon(programs, self.folder / "one", f"it{tag}", self.namespace)
        self.daemon.folder.mkdir(mode=0o711)
        self.missing = {}
        self.wasm = images.wasm(self.folder)
        if not self.wasm:
            self.missing["wasm"] = "no compiler for WASI (clang, wasi-libc, libclang-rt-dev-wasm32)"

    def prepare(self, quick=False):
        """Fetches what comes from the machine's package mirror, with a daemon that has no instances, then starts the
        daemon in the namespace."""
        outside = Daemon(self.programs, self.daemon.folder, self.daemon.bridge)
        outside.start()
        try:
            outside.isle("image", "import", images.busybox_tar(self.folder), "--name", "busybox")
            for key, fetch in (("debian", lambda: cache.base(outside, "debian/bookworm")),
                               ("kernel", lambda: cache.kernel(outside))):
                problem = "--quick" if quick else fetch()
                if problem:
                    self.missing[key] = problem
        finally:
            outside.stop()
        self.daemon.start()

    def need(self, *keys):
        for key in keys:
            if key in self.missing:
                raise Skip(self.missing[key])

    def clear(self):
        """Deletes every instance, so that a failed test does not disturb the next."""
        for name in self.daemon.names():
            self.daemon.isle("delete", "--force", name, check=False)

    def close(self, keep):
        problems = []
        try:
            self.clear()
            self.daemon.stop()
        except Exception as error:  # noqa: BLE001 - reported below
            problems.append(f"ending the daemon: {error}")
        deadline = time.monotonic() + 15
        while True:
            left = self.leftovers()
            if not left or time.monotonic() > deadline:
                break
            time.sleep(0.3)
        problems += left
        for pid, _ in host.processes(str(self.folder)):
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
        self.namespace.remove()
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)
        return problems

    def leftovers(self):
        left = [f"process {pid}: {line}" for pid, line in host.processes(str(self.folder))]
        left += [f"mount: {line}" for line in host.mounts(str(self.folder))]
        left += [f"link: {link}" for link in self.namespace.links() if link != "lo"]
        left += [f"table: {table}" for table in self.namespace.tables()]
        runs = self.daemon.run_dir / "instances"
        left += [f"run folder: {path}" for path in (runs.iterdir() if runs.exists() else [])]
        instances = self.daemon.state / "instances"
        left += [f"instance folder: {path}" for path in (instances.iterdir() if instances.exists() else [])]
        return left


def find(patterns):
    cases = pathlib.Path(__file__).resolve().parent.parent / "cases"
    sys.path.insert(0, str(cases))
    tests = []
    for path in sorted(cases.glob("test_*.py")):
        module = importlib.import_module(path.stem)
        for name, function in vars(module).items():
            if name.startswith("test_") and callable(function):
                label = f"{path.stem[5:]}.{name[5:]}"
                if not patterns or any(pattern in label for pattern in patterns):
                    tests.append((label, function))
    return tests


def main(options):
    if os.geteuid() != 0:
        print("0 passed, 0 failed, 1 skipped")
        print("skipped: the integration tests need root", file=sys.stderr)
        return 0
    passed, failed, skipped = 0, [], []
    environment = Environment(options.bin)
    try:
        start = time.monotonic()
        environment.prepare(options.quick)
        print(f"prepared in {time.monotonic() - start:.0f} s", flush=True)
        for label, function in find(options.patterns):
            start = time.monotonic()
            try:
                function(environment)
                environment.clear()
                passed += 1
                print(f"ok      {label} ({time.monotonic() - start:.1f} s)", flush=True)
            except Skip as reason:
                skipped.append(label)
                print(f"skipped {label}: {reason}", flush=True)
            except (Exception, subprocess.TimeoutExpired):  # noqa: BLE001 - every failure is one of the test
                failed.append(label)
                print(f"FAILED  {label} ({time.monotonic() - start:.1f} s)\n{traceback.format_exc()}", flush=True)
                environment.clear()
    except Exception:  # noqa: BLE001
        failed.append("preparation")
        print(traceback.format_exc(), flush=True)
    left = environment.close(options.keep)
    if left:
        failed.append("left behind")
        print("FAILED  something is left behind:\n  " + "\n  ".join(left), flush=True)
    else:
        passed += 1
    print(f"{passed} passed, {len(failed)} failed, {len(skipped)} skipped")
    return 1 if failed else 0
