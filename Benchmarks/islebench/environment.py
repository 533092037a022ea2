"""The daemon that is measured, its images, and the end of both."""
import os
import pathlib
import shutil
import signal
import tempfile

from isletest import host, images
from isletest.daemon import Daemon
from isletest.runner import Environment

from .measure import timed


class MeasuredDaemon(Daemon):
    """A daemon that logs as much as one in use does."""

    def command(self):
        command = super().command()
        command[command.index("--log-level") + 1] = "info"
        return command


class Bench(Environment):
    """Takes from the integration tests how everything is removed, and how it is seen whether anything is left."""

    def __init__(self, options):
        self.programs = pathlib.Path(options.bin).resolve()
        self.options = options
        self.quick = options.quick
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="isle-bench-", dir="/var/tmp"))
        os.chmod(self.folder, 0o711)
        tag = f"{os.getpid() % 100000}"
        self.namespace = host.Namespace(f"isle-bench-{tag}")
        self.daemon = self.make_daemon(f"ib{tag}", self.namespace)
        self.daemon.folder.mkdir(mode=0o711)
        self.busybox = images.busybox_tar(self.folder)
        self.wasm = images.wasm(self.folder)
        self.missing = {} if self.wasm else {"module": "no compiler for WASI (clang, wasi-libc, libclang-rt-dev-wasm32)"}
        self.debian = None
        self.cleanups = []

    def make_daemon(self, bridge, namespace):
        daemon = MeasuredDaemon(self.programs, self.folder / "one", bridge, namespace)
        if self.options.images:
            daemon.state = pathlib.Path(self.options.images).resolve()
        return daemon

    def prepare(self, wants):
        """Fetches what comes from the mirror with a daemon outside of the namespace, which cannot reach the mirror."""
        outside = self.make_daemon(self.daemon.bridge, None)
        outside.start()
        try:
            outside.isle("image", "import", self.busybox, "--name", "busybox")
            if {"system", "machine", "lxc-launch"} & set(wants):
                self.prepare_debian(outside)
            if "machine" in wants:
                result = outside.isle("kernel", "fetch", check=False, timeout=900)
                if result.code != 0:
                    self.missing["machine"] = f"no kernel: {result.err.strip()[-200:]}"
        finally:
            outside.stop()
        self.daemon.start()

    def prepare_debian(self, outside):
        if self.options.debian:
            outside.isle("image", "import", self.options.debian, "--name", "bench-debian", timeout=600)
            self.debian = "bench-debian"
            return
        if any("debian/bookworm" in alias["name"] for image in outside.json("image", "list")
               for alias in image.get("aliases") or []):
            self.debian = "debian/bookworm"
            return
        print("fetching Debian from the mirror …", flush=True)
        result = outside.isle("image", "build-base", "debian/bookworm", check=False, timeout=1200)
        if result.code == 0:
            self.debian = "debian/bookworm"
        else:
            self.missing["system"] = self.missing["lxc-launch"] = f"no Debian: {result.err.strip()[-200:]}"

    def isle(self, *arguments, timeout=180):
        """Seconds that a command of the client takes."""
        environment = {**os.environ, "ISLE_SOCKET": self.daemon.socket}
        return timed([str(self.programs / "isle"), *map(str, arguments)], environment, timeout)

    def inside(self, *command):
        """The command, in the network namespace of the daemon."""
        return self.namespace.command(*command)

    def shims(self):
        """Process ids of the shims."""
        found = host.processes(str(self.daemon.run_dir / "instances"))
        return [pid for pid, line in found if line.split()[0].endswith("isle-shim")]

    def close(self, keep=False):
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        problems = []
        for cleanup in reversed(self.cleanups):
            try:
                cleanup()
            except Exception as error:  # noqa: BLE001 - the rest has to be cleaned up all the same
                problems.append(f"cleaning up: {error}")
        if self.daemon.process:
            problems += super().close(keep)
        else:
            self.namespace.remove()
            shutil.rmtree(self.folder, ignore_errors=True)
        return problems
