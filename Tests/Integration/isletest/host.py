"""What is on the host: to see that a run leaves nothing."""
import os
import pathlib
import re
import subprocess


def run(*command, check=True, **options):
    return subprocess.run(command, check=check, text=True, capture_output=True, **options)


class Namespace:
    """A network namespace that plays the host."""

    def __init__(self, name):
        self.name = name
        self.path = f"/run/netns/{name}"
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")

    def command(self, *command):
        # Not `ip netns exec`: that mounts a new /sys, in which there are no control groups.
        return ["nsenter", f"--net={self.path}", "--", *command]

    def links(self):
        text = run("ip", "-n", self.name, "-o", "link").stdout
        return sorted(re.findall(r"^\d+: ([^:@ ]+)", text, re.M))

    def tables(self):
        return run(*self.command("nft", "list", "tables")).stdout.split("\n")[:-1]

    def remove(self):
        run("ip", "netns", "delete", self.name, check=False)


def processes(text):
    """Process ids whose command line contains `text`."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if text in line:
                found.append((int(entry.name), line.strip()))
    return found


def descendants(pids):
    """The processes below these, themselves included."""
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    found = set(pids)
    while True:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        if not more:
            return found
        found |= more


def mounts(text):
    return [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if text in line]


def cgroups(name):
    """Groups below a parent group `name`, in every hierarchy."""
    found = []
    for root, folders, _ in os.walk("/sys/fs/cgroup"):
        if os.path.basename(root) == name:
            found += [f"{root}/{folder}" for folder in folders]
            folders.clear()
    return found
