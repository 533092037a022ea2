"""Snapshots, copies, pools, volumes and backups by Debian's lxc."""
import time

from isletest.lxc import Lxc


def make(env, name, *options):
    """A stopped container of busybox whose program only waits."""
    env.daemon.isle("create", "--app", "--name", name, *options, "busybox", "sh", "-c",
                    "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done")


def write(env, name, path, text):
    env.daemon.isle("exec", name, "--", "sh", "-c", f"printf '{text}' > {path}")


def read(env, name, path):
    return env.daemon.isle("exec", name, "--", "cat", path, check=False).out


def test_snapshots(env):
    lxc, isle = Lxc(env), env.daemon.isle
    make(env, "box")
    isle("start", "box")
    write(env, "box", "/data", "one")
    lxc("snapshot", "box", "running")
    write(env, "box", "/data", "two")
    isle("exec", "box", "--", "rm", "/bin/vi")
    isle("stop", "box")
    lxc("snapshot", "box")
    lxc("config", "set", "box", "user.note=later")
    text = lxc("info", "box").out
    assert "running" in text and "snap0" in text, text
    isle("start", "box")
    assert read(env, "box", "/data") == "two"
    lxc("restore", "box", "running")
    assert env.daemon.status("box") == "Running"
    assert read(env, "box", "/data") == "one"
    isle("exec", "box", "--", "test", "-e", "/bin/vi")
    assert lxc("config", "get", "box", "user.note").out.strip() == ""
    lxc("restore", "box", "snap0")
    assert read(env, "box", "/data") == "two"
    assert isle("exec", "box", "--", "test", "-e", "/bin/vi", check=False).code == 1
    lxc("rename", "box/snap0", "box/renamed")
    assert "expires_at" in lxc("config", "show", "box/renamed").out
    refused = lxc("snapshot", "box", "running", check=False)
    assert refused.code == 1 and "already" in refused.err, refused
    stateful = lxc("snapshot", "box", "mem", "--stateful", check=False)
    assert stateful.code == 1 and "memory" in stateful.err, stateful
    for name in ("../x", "a/b", "-x", "x" * 300):
        assert lxc("snapshot", "box", name, check=False).code != 0, name
    lxc("delete", "box/renamed")
    assert isle("snapshot", "list", "box", "-q").out.split() == ["running"]
    lxc("delete", "--force", "box")


def test_copies(env):
    lxc, isle = Lxc(env), env.daemon.isle
    make(env, "first")
    isle("start", "first")
    write(env, "first", "/data", "one")
    isle("stop", "first")
    lxc("snapshot", "first", "s")
    lxc("copy", "first", "second")
    lxc("copy", "first/s", "third")
    isle("start", "second", "third", "first")
    write(env, "second", "/data", "two")
    lxc("copy", "second", "fourth", "--instance-only")
    assert [read(env, name, "/data") for name in ("first", "second", "third")] == ["one", "two", "one"]
    assert isle("snapshot", "list", "second", "-q").out.split() == ["s"]
    lxc("delete", "--force", "first")
    isle("start", "fourth")
    assert read(env, "fourth", "/data") == "two"
    lxc("restore", "second", "s")
    assert read(env, "second", "/data") == "one"
    isle("stop", "fourth")
    lxc("copy", "second", "fourth", "--refresh")
    isle("start", "fourth")
    assert read(env, "fourth", "/data") == "one"
    isle("stop", "third")
    lxc("move", "third", "fifth")
    assert sorted(env.daemon.names()) == ["fifth", "fourth", "second"]


def test_two_gibibytes(env):
    lxc, isle = Lxc(env), env.daemon.isle
    make(env, "big")
    isle("start", "big")
    isle("exec", "big", "--", "sh", "-c", "mkdir /d; for i in 1 2 3 4 5 6 7 8; do fallocate -l 268435456 /d/$i; done")
    isle("stop", "big")
    took = {}
    for what, command in (("snapshot", ("snapshot", "big", "s")), ("copy", ("copy", "big", "big2", "--instance-only")),
                          ("restore", ("restore", "big", "s"))):
        took[what] = lxc(*command).seconds
    print("    " + ", ".join(f"{what} of 2 GiB: {seconds * 1000:.0f} ms" for what, seconds in took.items()), flush=True)
    assert took["snapshot"] < 2 and took["copy"] < 2, took
    isle("start", "big2")
    assert isle("exec", "big2", "--", "du", "-s", "/d").out.split()[0] >= "2097152"


def test_a_killed_daemon_loses_no_snapshot(env):
    lxc, isle = Lxc(env), env.daemon.isle
    make(env, "box")
    isle("start", "box")
    write(env, "box", "/data", "one")
    lxc("snapshot", "box", "s")
    env.daemon.kill()
    env.daemon.start()
    write(env, "box", "/data", "two")
    lxc("restore", "box", "s")
    assert read(env, "box", "/data") == "one"
