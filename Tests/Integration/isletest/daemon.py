"""A daemon under test, and its client."""
import json
import os
import pathlib
import signal
import subprocess
import time


class Result:
    def __init__(self, completed, seconds):
        self.code = completed.returncode
        self.out = completed.stdout.decode(errors="replace")
        self.err = completed.stderr.decode(errors="replace")
        self.seconds = seconds

    def __repr__(self):
        return f"exit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class Daemon:
    def __init__(self, programs, folder, bridge, namespace=None, subnet=None):
        self.programs = pathlib.Path(programs).resolve()
        self.folder = pathlib.Path(folder)
        self.state = self.folder / "state"
        self.run_dir = self.folder / "run"
        self.log = self.folder / "isled.log"
        self.bridge = bridge
        self.subnet = subnet
        self.namespace = namespace
        self.process = None

    @property
    def socket(self):
        return str(self.run_dir / "isle.socket")

    def command(self):
        command = [str(self.programs / "isled"), "--lib-dir", str(self.programs), "--state-dir", str(self.state),
                   "--run-dir", str(self.run_dir), "--bridge", self.bridge, "--log-level", "debug"]
        if self.subnet:
            command += ["--subnet", self.subnet]
        return self.namespace.command(*command) if self.namespace else command

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(f"isled ended with {self.process.returncode}:\n{self.log_tail()}")
            if self.isle("version", check=False, timeout=10).code == 0:
                return self
            time.sleep(0.05)
        raise AssertionError(f"isled does not answer:\n{self.log_tail()}")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError("isled did not end within 30 s of SIGTERM")

    def log_tail(self, lines=30):
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(line[:400] for line in text.splitlines()[-lines:])

    def isle(self, *arguments, check=True, timeout=60, input=None, env=None):
        """Runs the client; with `check` any exit code but 0 is a failure."""
        command = [str(self.programs / "isle"), *map(str, arguments)]
        environment = {**os.environ, "ISLE_SOCKET": self.socket, **(env or {})}
        start = time.monotonic()
        try:
            done = subprocess.run(command, capture_output=True, timeout=timeout, env=environment,
                                  input=input if input is not None else b"")
        except subprocess.TimeoutExpired as expired:
            raise AssertionError(f"`isle {' '.join(map(str, arguments))}` took over {timeout} s\n"
                                 f"{(expired.stdout or b'').decode(errors='replace')}\n{self.log_tail(12)}")
        result = Result(done, time.monotonic() - start)
        if check and result.code != 0:
            raise AssertionError(f"`isle {' '.join(map(str, arguments))}`: {result!r}")
        return result

    def json(self, *arguments):
        return json.loads(self.isle(*arguments, "--format", "json").out)

    def background(self, *arguments, **options):
        environment = {**os.environ, "ISLE_SOCKET": self.socket}
        return subprocess.Popen([str(self.programs / "isle"), *map(str, arguments)], env=environment,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def names(self):
        return self.isle("list", "-q").out.split()

    def status(self, name):
        for item in self.json("list"):
            if item["name"] == name:
                return item["status"]
        return None

    def wait_status(self, name, status, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            now = self.status(name)
            if now == status:
                return
            time.sleep(0.1)
        raise AssertionError(f"{name} is {now}, not {status}, after {seconds} s\n{self.log_tail(12)}")

    def eventually(self, *arguments, seconds=60, expect=0):
        """Repeats a command until it succeeds."""
        end = time.monotonic() + seconds
        while True:
            result = self.isle(*arguments, check=False, timeout=30)
            if result.code == expect:
                return result
            if time.monotonic() > end:
                raise AssertionError(f"`isle {' '.join(map(str, arguments))}` within {seconds} s: {result!r}")
            time.sleep(0.2)
