"""Bare QEMU with the command line, kernel, initial file system and base disk of one of Isle's machines."""
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time

from isletest import host

from .measure import Failure

# A hello to isle-init's agent and its answer: marker, kind, stream, two zero bytes, session, length, payload.
NONCE = b"isle-benchmarks."
HELLO = b"ISL1" + bytes([1, 0, 0, 0]) + bytes(4) + len(NONCE).to_bytes(4, "little") + NONCE
ANSWER = b"ISL1" + bytes([64, 0, 0, 0]) + bytes(4) + len(NONCE).to_bytes(4, "little") + NONCE


class BareQEMU:
    def __init__(self, bench, name):
        """Takes everything from the running machine `name`."""
        self.bench = bench
        self.folder = bench.folder / f"qemu-{name}"
        self.folder.mkdir()
        self.tap = f"ibq{os.getpid() % 100000}"
        found = [pid for pid, line in host.processes(f"guest={name},") if "qemu-system" in line.split()[0]]
        if not found:
            raise Failure(f"no QEMU of the machine {name} runs")
        self.inside = pathlib.Path(f"/proc/{found[0]}/root")
        line = pathlib.Path(f"/proc/{found[0]}/cmdline").read_bytes().decode().split("\0")[:-1]
        self.base = None
        # The machine is given its tap open; here QEMU opens one by its name.
        self.command = [re.sub(r"/(?:m|boot|disk)/[a-z]+", lambda match: self.outside(match.group()),
                               re.sub(r"^(tap,.*)fd=\d+", rf"\1ifname={self.tap},script=no,downscript=no", argument))
                        for argument in line]

    def outside(self, path):
        """A file for what the machine sees as `path`."""
        target = self.folder / path.strip("/").replace("/", "-")
        if path == "/disk/base":
            self.base = self.base or self.find(os.stat(self.inside / path[1:]))
            return str(self.base)
        if path not in ("/m/qmp", "/m/agent", "/disk/root") and not target.exists():
            shutil.copyfile(self.inside / path[1:], target)
        return str(target)

    def find(self, wanted):
        """The base disk in the daemon's state folder; it may be large, so it is not copied."""
        for path in (self.bench.daemon.state / "disks").iterdir():
            status = path.stat()
            if (status.st_dev, status.st_ino) == (wanted.st_dev, wanted.st_ino):
                return path
        raise Failure("the machine's base disk is not in the state folder")

    def once(self):
        """Seconds until the agent in the guest answers."""
        agent, disk = self.folder / "m-agent", self.folder / "disk-root"
        for path in (agent, self.folder / "m-qmp", disk):
            path.unlink(missing_ok=True)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", self.base, "-F", "raw", disk], check=True)
        namespace = self.bench.namespace.name
        host.run("ip", "-n", namespace, "tuntap", "add", "dev", self.tap, "mode", "tap")
        host.run("ip", "-n", namespace, "link", "set", self.tap, "up")
        process = None
        with open(self.folder / "errors", "wb") as errors:
            try:
                start = time.perf_counter()
                process = subprocess.Popen(self.bench.inside(*self.command), stdin=subprocess.DEVNULL,
                                           stdout=subprocess.DEVNULL, stderr=errors)
                self.greet(process, agent, start + 180)
                return time.perf_counter() - start
            finally:
                if process:
                    process.kill()
                    process.wait()
                host.run("ip", "-n", namespace, "link", "delete", self.tap, check=False)

    def greet(self, process, agent, end):
        with socket.socket(socket.AF_UNIX) as port:
            while True:
                try:
                    port.connect(str(agent))
                    break
                except OSError:
                    if process.poll() is not None or time.perf_counter() > end:
                        text = (self.folder / "errors").read_text(errors="replace")
                        raise Failure(f"bare QEMU did not start: {text[-300:]}")
                    time.sleep(0.005)
            port.settimeout(max(1, end - time.perf_counter()))
            port.sendall(HELLO)
            seen = b""
            while ANSWER not in seen:
                try:
                    part = port.recv(4096)
                except (TimeoutError, ConnectionResetError):
                    part = b""
                if not part:
                    text = (self.folder / "errors").read_text(errors="replace")
                    raise Failure(f"the agent in bare QEMU's guest did not answer: {text[-300:]}")
                seen += part
