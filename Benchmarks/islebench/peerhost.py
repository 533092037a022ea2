"""A corner of this machine for the daemons of the peers, so that neither they nor Isle see the other's networks, firewall
rules and state: namespaces of their own for mounts and network, and folders that go with the measurement."""
import os
import pathlib
import shutil
import signal
import subprocess
import time

CONTROL_GROUPS = pathlib.Path("/sys/fs/cgroup")
# crun and podman refuse both versions of control groups side by side; they do not see them where this file is empty.
HYBRID = CONTROL_GROUPS / "unified/cgroup.controllers"
PREPARE = """
set -e
mkdir -p cgroup; mount --rbind /sys/fs/cgroup cgroup
mount -t sysfs sysfs /sys; mount --rbind cgroup /sys/fs/cgroup
if [ -e "$0" ]; then : >empty; mount --bind empty "$0"; fi
mount -t tmpfs -o mode=755 tmpfs /run; mkdir -m 1777 /run/lock; mkdir /run/netns
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
ip link set lo up
touch ready
exec sleep 100000
"""
PRESEED = """
networks:
- name: lxdbr0
  type: bridge
  config: {ipv4.address: 10.98.0.1/24, ipv4.nat: "true", ipv6.address: none}
storage_pools:
- name: default
  driver: dir
profiles:
- name: default
  devices:
    root: {path: /, pool: default, type: disk}
    eth0: {name: eth0, network: lxdbr0, type: nic}
"""


class PeerHost:
    def __init__(self, folder):
        self.folder = folder
        self.folder.mkdir(mode=0o711)
        self.daemons, self.groups = [], control_groups()
        self.holder = subprocess.Popen(["unshare", "-m", "-n", "--propagation", "slave", "sh", "-c", PREPARE, HYBRID],
                                       cwd=folder, stdin=subprocess.DEVNULL)
        wait(lambda: (folder / "ready").exists(), "the namespaces for the peers")
        names = pathlib.Path(f"/proc/{self.holder.pid}/ns")
        self.namespace = os.readlink(names / "net")
        self.prefix = ["nsenter", f"--mount={names}/mnt", f"--net={names}/net", "--"]

    def start(self, *command, **environment):
        log = open(self.folder / f"{pathlib.Path(command[0]).name}.log", "wb")
        with log:
            process = subprocess.Popen([*self.prefix, *map(str, command)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       env={**os.environ, **environment}, start_new_session=True)
        self.daemons.append(process)
        return process

    def docker(self):
        """The environment of a docker client whose daemon has just been started; None where there is none."""
        if not all(map(shutil.which, ("docker", "dockerd", "containerd"))):
            return None
        folder = self.folder / "docker"
        folder.mkdir()
        config = folder / "containerd.toml"
        config.write_text(f'version = 2\nroot = "{folder}/containerd"\nstate = "{folder}/containerd-state"\n'
                          f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
                          f'[grpc]\n  address = "{folder}/containerd.sock"\n')
        self.start("containerd", "-c", config)
        wait((folder / "containerd.sock").exists, "containerd")
        self.start("dockerd", "-H", f"unix://{folder}/docker.sock", "--containerd", folder / "containerd.sock",
                   "--data-root", folder / "data", "--exec-root", folder / "exec", "-p", folder / "dockerd.pid",
                   "--group", "root")
        environment = {**os.environ, "DOCKER_HOST": f"unix://{folder}/docker.sock", "DOCKER_CONFIG": str(folder)}
        wait(lambda: succeeds(["docker", "info"], environment), "dockerd")
        return environment

    def lxd(self):
        """The environment of an lxc client whose daemon has just been started; None where there is none."""
        if not all(map(shutil.which, ("lxc", "lxd"))):
            return None
        folder = self.folder / "lxd"
        folder.mkdir(mode=0o711)
        environment = {"LXD_DIR": str(folder), "LXD_CONF": str(self.folder / "lxd-client")}
        self.start("lxd", "--group", "root", **environment)
        environment = {**os.environ, **environment}
        wait(lambda: succeeds(["lxd", "waitready", "--timeout=5"], environment), "lxd", 90)
        subprocess.run(["lxd", "init", "--preseed"], input=PRESEED.encode(), env=environment, check=True,
                       capture_output=True, timeout=120)
        return environment

    def close(self):
        """Ends everything that lives in the namespaces, and takes away the control groups that were made meanwhile."""
        for process in reversed(self.daemons):
            process.terminate()
        for process in reversed(self.daemons):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        end = time.monotonic() + 10
        while (pids := self.members()) and time.monotonic() < end:
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.1)
        self.holder.kill()
        self.holder.wait()
        for group in control_groups() - self.groups:
            for folder, _, _ in os.walk(group, topdown=False):
                os.rmdir(folder)
        subprocess.run(["rm", "-rf", "--one-file-system", self.folder], check=False)

    def members(self):
        """Processes of the network namespace but the one that holds it, and those that were started for it: a program in a
        container has another network, but its keeper has not."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != self.holder.pid:
                try:
                    command = (entry / "cmdline").read_bytes()
                    if os.readlink(entry / "ns/net") == self.namespace or str(self.folder).encode() in command:
                        found.append(int(entry.name))
                except OSError:
                    continue
        return found


def control_groups():
    """Control groups as the peers name theirs, of the first level of every hierarchy."""
    return {path for level in ("", "*/") for name in ("docker", "libpod_parent", "lxc.*")
            for path in CONTROL_GROUPS.glob(level + name) if not path.is_symlink()}


def succeeds(command, environment):
    return subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, env=environment,
                          timeout=30).returncode == 0


def wait(condition, what, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise OSError(f"{what} did not come up within {seconds} s")
        time.sleep(0.05)
