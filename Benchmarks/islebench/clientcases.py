"""What is measured through the clients of LXD and Docker, each of them talking to Isle and to its own daemon."""
import json
import os
import shutil
import socket
import statistics
import subprocess
import time

from . import peers
from .cases import compare
from .measure import Failure, timed

# 2 GiB, as the targets for snapshots and copies say; 500 MB for the archive that is loaded.
BIG, ARCHIVE = 2 << 30, 500_000_000
MANY = 200


def lxc_environment(bench):
    folder = bench.folder / "lxc"
    folder.mkdir(exist_ok=True)
    link = folder / "unix.socket"
    if not link.is_symlink():
        link.symlink_to(bench.daemon.socket)
    return {**os.environ, "LXD_DIR": str(folder), "LXD_CONF": str(folder / "conf")}


def docker_environment(bench):
    folder = bench.folder / "docker"
    folder.mkdir(exist_ok=True)
    return {**os.environ, "DOCKER_HOST": f"unix://{bench.daemon.run_dir}/docker.sock", "DOCKER_CONFIG": str(folder)}


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise Failure(f"{program} is not installed")


class Connection:
    """A connection to the API that is kept, over the socket; nothing but what a request needs."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.reader = self.socket.makefile("rb")

    def send(self, path):
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: isle\r\n\r\n".encode())

    def receive(self):
        status = self.reader.readline()
        if b" 200 " not in status:
            raise Failure(f"the API answers {status!r}")
        length = None
        while (line := self.reader.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if length is not None:
            return self.reader.read(length)
        body = b""
        while size := int(self.reader.readline(), 16):
            body += self.reader.read(size)
            self.reader.readline()
        self.reader.readline()
        return body

    def close(self):
        self.reader.close()
        self.socket.close()


def lxd_api(bench, results):
    names = [f"many-{number}" for number in range(MANY)]
    for name in names:
        bench.isle("create", "--name", name, "busybox", "sleep", "100000")
    connection = Connection(bench.daemon.socket)

    def all_of_them():
        start = time.perf_counter()
        connection.send("/1.0/instances?recursion=2")
        body = connection.receive()
        seconds = time.perf_counter() - start
        if len(json.loads(body)["metadata"]) < MANY:
            raise Failure("not all instances are listed")
        return seconds

    compare(bench, results, "lxd-api", f"GET /1.0/instances?recursion=2 of {MANY}", (40, 8), all_of_them, target=20)
    for name in names[:50]:
        bench.isle("start", name)
    compare(bench, results, "lxd-api", f"GET /1.0/instances?recursion=2 of {MANY}, 50 of them running", (40, 8),
            all_of_them, target=20)
    connection.close()
    bench.isle("delete", "--force", *names[1:])
    connections = [Connection(bench.daemon.socket) for _ in range(4)]
    times = []
    for _ in range((1500, 100)[bench.quick]):
        start = time.perf_counter()
        for one in connections:
            one.send(f"/1.0/instances/{names[0]}")
        for one in connections:
            one.receive()
        times.append((time.perf_counter() - start) / len(connections))
    for one in connections:
        one.close()
    results.add("lxd-api", "GET /1.0/instances/x, four connections, each", times, target=0.5,
                note=f"{1 / statistics.mean(times):.0f} per second")
    bench.isle("delete", "--force", names[0])


def lxc_launch(bench, results):
    need("lxc")
    ours = lxc_environment(bench)
    others = {}
    theirs = peers.lxd(bench)
    if theirs:
        exported = bench.folder / "debian-image"
        exported.mkdir()
        timed(["lxc", "image", "export", bench.debian, str(exported / "debian")], ours)
        timed(["lxc", "image", "import", *map(str, sorted(exported.iterdir())), "--alias", "bench-debian"], theirs)
        others["lxc launch, LXD with its dir pool"] = lambda: launched(theirs, "bench-debian", delete=True)

    def launched(environment, image, delete):
        seconds = timed(["lxc", "launch", image, "bench-box"], environment)
        if delete:
            timed(["lxc", "delete", "--force", "bench-box"], environment)
        return seconds

    compare(bench, results, "lxc-launch", "lxc launch of a Debian system container", (8, 2),
            lambda: launched(ours, bench.debian, delete=True), others, target=300, warm_up=1)


def snapshots(bench, results):
    need("lxc")
    environment = lxc_environment(bench)
    timed(["lxc", "storage", "create", "bench-btrfs", "btrfs", f"size={3 * BIG >> 20}MiB"], environment)
    try:
        for pool, label in (("default", "overlay"), ("bench-btrfs", "btrfs, in a file")):
            name = f"big-{label.split(',')[0]}"
            bench.isle("launch", "-D", f"root,type=disk,path=/,pool={pool}", "busybox", name, "--", "sleep", "100000")
            bench.isle("exec", name, "--", "dd", "if=/dev/urandom", "of=/big", "bs=1048576", f"count={BIG >> 20}")
            os.sync()  # What has not been written yet would be written by the first snapshot.
            turns = range((8, 2)[bench.quick])
            running = [timed(["lxc", "snapshot", name, f"running{turn}"], environment) for turn in turns[:2]]
            bench.isle("stop", "--force", name)
            kept = [timed(["lxc", "snapshot", name, f"stopped{turn}"], environment) for turn in turns]
            copied = [timed(["lxc", "copy", "--instance-only", name, f"{name}-{turn}"], environment) for turn in turns]
            # An overlay that is mounted cannot be given another upper folder, so that a running one is copied.
            results.add("snapshots", f"lxc snapshot of 2 GiB, running, {label}", running,
                        target=100 if pool != "default" else None)
            results.add("snapshots", f"lxc snapshot of 2 GiB, stopped, {label}", kept, target=100)
            results.add("snapshots", f"lxc copy of 2 GiB, stopped, {label}", copied, target=100)
            bench.isle("delete", "--force", name, *[f"{name}-{turn}" for turn in range(len(copied))])
    finally:
        timed(["lxc", "storage", "delete", "bench-btrfs"], environment)


def docker_pair(bench):
    """The environments for Isle and for dockerd, whose stores have the busybox image."""
    need("docker")
    ours, theirs = docker_environment(bench), peers.docker(bench)
    if not hasattr(bench, "docker_image"):
        timed(["docker", "import", str(bench.busybox), peers.IMAGE], ours)
        bench.docker_image = True
    return ours, {"dockerd": theirs} if theirs else {}


def docker_run(bench, results):
    ours, others = docker_pair(bench)
    command = ["docker", "run", "--rm", peers.IMAGE, "true"]
    compare(bench, results, "docker-run", "docker run --rm busybox true", (30, 5), lambda: timed(command, ours),
            {name: lambda theirs=theirs: timed(command, theirs) for name, theirs in others.items()}, target=100)


def docker_many(bench, results):
    ours, others = docker_pair(bench)
    count = (50, 10)[bench.quick]

    def fifty(environment):
        names = [f"bench-{number}" for number in range(count)]
        start = time.perf_counter()
        for name in names:
            timed(["docker", "create", "--name", name, peers.IMAGE, "sleep", "100000"], environment)
        for name in names:
            timed(["docker", "start", name], environment)
        timed(["docker", "rm", "--force", *names], environment)
        return time.perf_counter() - start

    compare(bench, results, "docker-many", f"{count} created, started, removed by docker", (3, 1), lambda: fifty(ours),
            {name: lambda theirs=theirs: fifty(theirs) for name, theirs in others.items()}, factor=1 / 3, warm_up=0)


def docker_ps(bench, results):
    ours, others = docker_pair(bench)
    for environment in (ours, *others.values()):
        for number in range(MANY):
            timed(["docker", "create", "--name", f"many-{number}", peers.IMAGE, "true"], environment)
    command = ["docker", "ps", "--all"]
    compare(bench, results, "docker-ps", f"docker ps of {MANY}", (30, 5), lambda: timed(command, ours),
            {name: lambda theirs=theirs: timed(command, theirs) for name, theirs in others.items()}, target=50)
    for environment in (ours, *others.values()):
        timed(["docker", "rm", "--force", *[f"many-{number}" for number in range(MANY)]], environment)


def docker_load(bench, results):
    ours, others = docker_pair(bench)
    folder, archive = bench.folder / "load", bench.folder / "load.tar"
    folder.mkdir()
    for number in range(100):
        with open(folder / f"part{number}", "wb") as part:
            # Half of it can be compressed, as the content of images can.
            part.write(os.urandom(ARCHIVE // 200) + bytes(ARCHIVE // 200))
    subprocess.run(["tar", "-cf", bench.folder / "load-root.tar", "-C", folder, "."], check=True)
    shutil.rmtree(folder)
    timed(["docker", "import", str(bench.folder / "load-root.tar"), "bench-load"], ours)
    timed(["docker", "save", "-o", str(archive), "bench-load"], ours)
    timed(["docker", "rmi", "bench-load"], ours)
    (bench.folder / "load-root.tar").unlink()

    def load(environment):
        seconds = timed(["docker", "load", "--quiet", "-i", str(archive)], environment)
        timed(["docker", "rmi", "bench-load"], environment)
        return seconds

    compare(bench, results, "docker-load", "docker load of 500 MB", (4, 1), lambda: load(ours),
            {name: lambda theirs=theirs: load(theirs) for name, theirs in others.items()}, factor=1, warm_up=1)
    archive.unlink()


CLIENT_CASES = {"lxd-api": lxd_api, "lxc-launch": lxc_launch, "snapshots": snapshots, "docker-run": docker_run,
                "docker-many": docker_many, "docker-ps": docker_ps, "docker-load": docker_load}
