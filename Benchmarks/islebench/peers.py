"""The peers: the same work done by programs that are installed, their daemons started for it."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

from .measure import timed
from .peerhost import PeerHost

# The name of the busybox image in the stores of podman and docker.
IMAGE = "isle-bench"
# Limits that it may set without CAP_SYS_RESOURCE, and no need for systemd.
PODMAN = """
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=30000:30000"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
[network]
network_backend = "netavark"
"""
HYBRID = pathlib.Path("/sys/fs/cgroup/unified/cgroup.controllers")


def quiet(*command, **options):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=120, **options)


class Crun:
    """Bare crun on the same root filesystem: new namespaces without network, no seccomp, no control groups."""

    def __init__(self, bench):
        self.folder = bench.folder / "crun"
        self.prefix = []
        self.count = 0
        self.rootfs = bench.folder / "busybox"
        self.folder.mkdir(mode=0o711)
        for folder in (self.rootfs, self.folder):
            os.chmod(folder, 0o755)
        if HYBRID.exists():
            self.hide_hybrid(bench)

    def hide_hybrid(self, bench):
        """crun refuses both versions of control groups side by side; it does not see them where this file is empty."""
        empty = self.folder / "empty"
        empty.touch()
        holder = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", 'mount --bind "$0" "$1" && exec sleep 100000', empty, HYBRID],
            stdin=subprocess.DEVNULL)
        bench.cleanups.append(lambda: (holder.kill(), holder.wait()))
        self.prefix = ["nsenter", f"--mount=/proc/{holder.pid}/ns/mnt", "--"]
        time.sleep(0.2)

    def bundle(self, user_namespace, arguments):
        folder = self.folder / f"bundle{self.count}"
        self.count += 1
        folder.mkdir()
        quiet("crun", "spec", cwd=folder, check=True)
        path = folder / "config.json"
        config = json.loads(path.read_text())
        config["process"].update(terminal=False, args=arguments)
        config["root"] = {"path": str(self.rootfs), "readonly": False}
        linux = config["linux"]
        linux.pop("resources", None)
        linux["namespaces"] = [entry for entry in linux["namespaces"] if entry["type"] not in ("cgroup", "user")]
        config["mounts"] = [mount for mount in config["mounts"] if mount["type"] != "cgroup"]
        if user_namespace:
            linux["namespaces"].append({"type": "user"})
            for key in ("uidMappings", "gidMappings"):
                linux[key] = [{"containerID": 0, "hostID": 1000000, "size": 65536}]
        path.write_text(json.dumps(config))
        return folder

    def command(self, *arguments):
        return [*self.prefix, "crun", "--root", str(self.folder / "state"), "--cgroup-manager=disabled",
                *map(str, arguments)]

    def run(self, user_namespace):
        bundle = self.bundle(user_namespace, ["/bin/true"])

        def once():
            self.count += 1
            return timed(self.command("run", "-b", bundle, f"isle-bench-{os.getpid()}-{self.count}"))
        return once

    def exec(self, bench):
        name = f"isle-bench-{os.getpid()}-exec"
        bundle = self.bundle(True, ["/bin/sleep", "100000"])
        timed(self.command("run", "-d", "-b", bundle, name))
        bench.cleanups.append(lambda: quiet(*self.command("delete", "-f", name)))
        return lambda: timed(self.command("exec", name, "/bin/true"))


def crun(bench):
    """Made once, None without crun."""
    if not shutil.which("crun"):
        return None
    if not hasattr(bench, "crun"):
        bench.crun = Crun(bench)
    return bench.crun


def host(bench):
    """Made once, with everything in it gone at the end."""
    if not hasattr(bench, "peer_host"):
        bench.peer_host = PeerHost(bench.folder / "peers")
        bench.cleanups.append(bench.peer_host.close)
    return bench.peer_host


def docker(bench):
    """The environment of a client whose dockerd has `busybox` as IMAGE; None without dockerd. Started once."""
    if not hasattr(bench, "dockerd"):
        bench.dockerd = host(bench).docker()
        if bench.dockerd:
            quiet("docker", "import", bench.busybox, IMAGE, env=bench.dockerd, check=True)
    return bench.dockerd


def lxd(bench):
    """The environment of an lxc client that talks to an LXD; None without one. Started once."""
    if not hasattr(bench, "lxd"):
        bench.lxd = host(bench).lxd()
    return bench.lxd


def engines(bench):
    """Functions that run a program by podman and docker, by name; made once."""
    if hasattr(bench, "engines"):
        return bench.engines
    bench.engines = {}
    if shutil.which("podman"):
        folder = host(bench).folder / "podman"
        folder.mkdir()
        settings = folder / "containers.conf"
        settings.write_text(PODMAN)
        base = [*host(bench).prefix, "podman", "--root", str(folder / "root"), "--runroot", str(folder / "run")]
        environment = {**os.environ, "CONTAINERS_CONF": str(settings)}
        quiet(*base, "import", bench.busybox, IMAGE, check=True, env=environment)
        bench.cleanups.append(lambda: quiet(*base, "rm", "--all", "--force", "--time", "0", env=environment))
        bench.engines["podman"] = lambda *options, environment=environment: timed(
            [*base, "run", "--rm", *options, IMAGE, "true"], environment)
    environment = docker(bench)
    if environment:
        bench.engines["docker"] = lambda *options: timed(["docker", "run", "--rm", *options, IMAGE, "true"], environment)
    return bench.engines


WASMTIME = """
import sys, os, wasmtime
engine = wasmtime.Engine()
if not os.path.exists(sys.argv[2]):
    open(sys.argv[2], 'wb').write(wasmtime.Module.from_file(engine, sys.argv[1]).serialize())
module = wasmtime.Module.deserialize_file(engine, sys.argv[2])
store = wasmtime.Store(engine)
wasi = wasmtime.WasiConfig()
wasi.inherit_stdout()
store.set_wasi(wasi)
linker = wasmtime.Linker(engine)
linker.define_wasi()
try:
    linker.instantiate(store, module).exports(store)['_start'](store)
except wasmtime.ExitTrap as end:
    sys.exit(end.code)
"""


def modules(bench):
    peers = {}
    if shutil.which("wasmtime"):
        peers["wasmtime run"] = lambda: timed(["wasmtime", "run", str(bench.wasm)])
    if quiet(sys.executable, "-c", "import wasmtime").returncode == 0:
        compiled = str(bench.folder / "peer.cwasm")
        peers["wasmtime in Python, compiled before"] = lambda: timed(
            [sys.executable, "-c", WASMTIME, str(bench.wasm), compiled])
    return peers
