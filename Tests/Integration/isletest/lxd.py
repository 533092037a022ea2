"""LXD's own client, Debian's package lxd-client, pointed at a daemon under test."""
import os
import pathlib
import shutil
import subprocess
import time

from .daemon import Result


class LXC:
    """Runs `lxc` as a user would, with a configuration of its own."""

    def __init__(self, daemon, folder):
        self.daemon = daemon
        self.program = shutil.which("lxc")
        base = pathlib.Path(folder) / "lxc-client"
        for name in ("lxd", "conf"):
            (base / name).mkdir(parents=True, exist_ok=True)
        link = base / "lxd" / "unix.socket"
        if not link.is_symlink():
            link.symlink_to(daemon.socket)
        self.environment = {**os.environ, "LXD_DIR": str(base / "lxd"), "LXD_CONF": str(base / "conf"),
                            "HOME": str(base)}
        self.environment.pop("LXD_SOCKET", None)

    def __call__(self, *arguments, check=True, timeout=60, input=None):
        start = time.monotonic()
        try:
            done = subprocess.run([self.program, *map(str, arguments)], capture_output=True, timeout=timeout,
                                  env=self.environment, input=input.encode() if isinstance(input, str) else input or b"")
        except subprocess.TimeoutExpired as expired:
            raise AssertionError(f"`lxc {' '.join(map(str, arguments))}` took over {timeout} s: {expired.stdout!r} "
                                 f"{expired.stderr!r}\n{self.daemon.log_tail(12)}")
        result = Result(done, time.monotonic() - start)
        if check and result.code != 0:
            raise AssertionError(f"`lxc {' '.join(map(str, arguments))}`: {result!r}\n{self.daemon.log_tail(8)}")
        return result

    def out(self, *arguments, **options):
        return self(*arguments, **options).out

    def refused(self, *arguments, **options):
        """The error of a command that must fail."""
        result = self(*arguments, check=False, **options)
        if result.code == 0:
            raise AssertionError(f"`lxc {' '.join(map(str, arguments))}` was not refused: {result!r}")
        return result.err

    def popen(self, *arguments, **options):
        return subprocess.Popen([self.program, *map(str, arguments)], env=self.environment, **options)
