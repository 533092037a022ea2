"""Debian's client of LXD, pointed at a daemon under test."""
import os
import shutil
import subprocess

from .daemon import Result
from .runner import Skip


class Lxc:
    def __init__(self, env):
        if not shutil.which("lxc"):
            raise Skip("no lxc (package lxd-client)")
        folder = env.folder / "lxc"
        folder.mkdir(exist_ok=True)
        socket = folder / "unix.socket"
        if not socket.is_symlink():
            socket.symlink_to(env.daemon.socket)
        self.daemon = env.daemon
        self.environment = {**os.environ, "LXD_DIR": str(folder), "LXD_CONF": str(folder / "conf"), "HOME": str(folder)}

    def __call__(self, *arguments, check=True, timeout=60, input=b""):
        import time
        start = time.monotonic()
        done = subprocess.run(["lxc", *map(str, arguments)], capture_output=True, timeout=timeout, input=input,
                              env=self.environment)
        result = Result(done, time.monotonic() - start)
        if check and result.code != 0:
            raise AssertionError(f"`lxc {' '.join(map(str, arguments))}`: {result!r}\n{self.daemon.log_tail(12)}")
        return result
