"""Snapshots, copies, pools, volumes and backups by Debian's lxc."""
import pathlib
import shutil
import subprocess

from isletest.lxc import Lxc
from isletest.runner import Skip


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


def need_btrfs():
    if not shutil.which("mkfs.btrfs") or "btrfs" not in pathlib.Path("/proc/filesystems").read_text():
        raise Skip("no btrfs-progs, or no btrfs in the kernel")
    if subprocess.run(["losetup", "-f"], capture_output=True).returncode != 0:
        raise Skip("no loop devices")


def clear(lxc, *pools):
    """Deletes what is in pools, and the pools."""
    for pool in pools:
        for line in lxc("storage", "volume", "list", pool, "--format", "csv", check=False).out.splitlines():
            kind, name = line.split(",")[:2]
            if kind == "custom" and "/" not in name:
                lxc("storage", "volume", "delete", pool, name, check=False)
        lxc("storage", "delete", pool)


def test_pools(env):
    lxc, isle = Lxc(env), env.daemon.isle
    folder = env.folder / "pool"
    lxc("storage", "create", "second", "dir", f"source={folder}")
    assert "second" in lxc("storage", "list").out
    info = lxc("storage", "info", "second").out
    assert "driver: dir" in info and "total space" in info, info
    for wrong in (("second", "dir"), ("x", "zfs"), ("x", "dir", "source=relative"), ("x", "dir", "source=/etc"),
                  ("x", "dir", "nokey=1"), ("x", "btrfs", "size=1"), ("../x", "dir")):
        assert lxc("storage", "create", *wrong, check=False).code != 0, wrong
    make(env, "box", "-D", "root,type=disk,path=/,pool=second")
    isle("start", "box")
    write(env, "box", "/data", "one")
    isle("stop", "box")
    lxc("snapshot", "box", "s")
    assert lxc("storage", "delete", "second", check=False).code != 0
    lxc("copy", "box", "there", "-s", "default")
    lxc("move", "box", "box", "-s", "default")
    assert not list((folder / "instances").iterdir())
    isle("start", "box", "there")
    assert read(env, "box", "/data") == read(env, "there", "/data") == "one"
    lxc("restore", "there", "s")
    env.clear()
    clear(lxc, "second")
    assert not folder.exists()


def test_btrfs_pool(env):
    need_btrfs()
    lxc, isle = Lxc(env), env.daemon.isle
    lxc("storage", "create", "fast", "btrfs", "size=4GiB")
    try:
        make(env, "box", "-D", "root,type=disk,path=/,pool=fast,size=3GiB")
        isle("start", "box")
        write(env, "box", "/data", "one")
        isle("exec", "box", "--", "fallocate", "-l", "2147483648", "/big")
        took = {"snapshot while running": lxc("snapshot", "box", "s").seconds}
        write(env, "box", "/data", "two")
        took["copy while running"] = lxc("copy", "box", "second", "--instance-only").seconds
        print("    2 GiB on btrfs: " + ", ".join(f"{what} {seconds * 1000:.0f} ms" for what, seconds in took.items()),
              flush=True)
        assert max(took.values()) < 2, took
        full = isle("exec", "box", "--", "dd", "if=/dev/urandom", "of=/more", "bs=1M", "count=1200", check=False)
        assert full.code != 0, "the size is not enforced"
        lxc("restore", "box", "s")
        assert read(env, "box", "/data") == "one"
        isle("start", "second")
        assert read(env, "second", "/data") == "two"
        # The filesystem stays mounted for the instances, and is found again.
        env.daemon.kill()
        env.daemon.start()
        assert read(env, "second", "/data") == "two"
        lxc("storage", "set", "fast", "size=5GiB")
        isle("stop", "second")
        lxc("move", "second", "second", "-s", "default")
        isle("start", "second")
        assert read(env, "second", "/data") == "two"
        lxc("storage", "volume", "create", "fast", "data", "size=100MiB")
        lxc("storage", "volume", "snapshot", "fast", "data", "v0")
        # A pool that bounds nothing takes copies without their bound, as LXD does, but none that is asked for.
        lxc("storage", "volume", "copy", "fast/data", "default/copied")
        lxc("storage", "volume", "export", "fast", "data", env.folder / "bounded.tar.gz")
        lxc("storage", "volume", "import", "default", env.folder / "bounded.tar.gz", "imported")
        lxc("storage", "volume", "move", "default/copied", "fast/back")
        lxc("storage", "volume", "set", "fast", "back", "size=50MiB")
        lxc("storage", "volume", "move", "fast/back", "default/moved")
        for name in ("imported", "moved"):
            assert "size" not in lxc("storage", "volume", "show", "default", name).out, name
            refused = lxc("storage", "volume", "set", "default", name, "size=1MiB", check=False)
            assert refused.code != 0 and "size" in refused.err, refused
            lxc("storage", "volume", "delete", "default", name)
        lxc("storage", "volume", "delete", "fast", "data")
    finally:
        env.clear()
        clear(lxc, "fast")
    assert not list((env.daemon.state / "pools").iterdir())


def test_volumes(env):
    lxc, isle = Lxc(env), env.daemon.isle
    lxc("storage", "create", "third", "dir")
    lxc("storage", "volume", "create", "default", "data", "user.a=1")
    assert lxc("storage", "volume", "create", "default", "data", check=False).code != 0
    assert lxc("storage", "volume", "create", "default", "bad", "nokey=1", check=False).code != 0
    sized = lxc("storage", "volume", "create", "default", "sized", "size=1GiB", check=False)
    assert sized.code != 0 and "size" in sized.err, sized
    make(env, "box")
    lxc("storage", "volume", "attach", "default", "data", "box", "/data")
    isle("start", "box")
    write(env, "box", "/data/file", "one")
    lxc("storage", "volume", "snapshot", "default", "data", "s")
    write(env, "box", "/data/file", "two")
    assert lxc("storage", "volume", "restore", "default", "data", "s", check=False).code != 0
    assert lxc("storage", "volume", "delete", "default", "data", check=False).code != 0
    isle("stop", "box")
    lxc("storage", "volume", "restore", "default", "data", "s")
    isle("start", "box")
    assert read(env, "box", "/data/file") == "one"
    isle("stop", "box")
    lxc("storage", "volume", "detach", "default", "data", "box")
    lxc("storage", "volume", "copy", "default/data", "third/copied")
    lxc("storage", "volume", "copy", "default/data/s", "default/old", "--volume-only")
    lxc("storage", "volume", "rename", "default", "data", "renamed")
    lxc("storage", "volume", "move", "default/renamed", "third/moved")
    lxc("storage", "volume", "set", "third", "moved", "user.b=2")
    assert lxc("storage", "volume", "get", "third", "moved", "user.b").out.strip() == "2"
    shown = lxc("storage", "volume", "show", "third", "moved").out
    assert "user.a" in shown and "content_type: filesystem" in shown, shown
    listed = lxc("storage", "volume", "list", "third", "--format", "csv").out
    assert "moved/s" in listed and "copied" in listed, listed
    lxc("storage", "volume", "rename", "third", "moved/s", "moved/t")
    lxc("storage", "volume", "delete", "third", "moved/t")
    lxc("storage", "volume", "create", "third", "disk", "--type=block", "size=64MiB")
    assert "block" in lxc("storage", "volume", "show", "third", "disk").out
    lxc("storage", "volume", "delete", "default", "old")
    env.clear()
    clear(lxc, "third")


def test_devices_name_what_is_there(env):
    lxc, isle = Lxc(env), env.daemon.isle
    make(env, "named")
    missing = ("pool=default", "source=nowhere")
    assert "nowhere" in lxc("config", "device", "add", "named", "v", "disk", *missing, "path=/v", check=False).err
    assert "nowhere" not in lxc("storage", "volume", "list", "default").out
    lxc("config", "device", "add", "named", "v", "disk", *missing, "path=/v", "create=true")
    isle("start", "named")
    assert "nowhere" in lxc("storage", "volume", "list", "default").out
    isle("stop", "named")
    lxc("storage", "create", "elsewhere", "dir")
    refused = lxc("config", "device", "override", "named", "root", "pool=elsewhere", check=False)
    assert refused.code != 0 and "in the pool default" in refused.err, refused
    isle("delete", "--force", "named")
    lxc("storage", "volume", "delete", "default", "nowhere")
    lxc("storage", "delete", "elsewhere")


def test_files_that_nobody_is_known_to_own_stay(env):
    lxc = Lxc(env)
    lxc("storage", "volume", "create", "default", "kept")
    snapshots = env.daemon.state / "volume-snapshots"
    before = set(snapshots.rglob("*"))
    lxc("storage", "volume", "snapshot", "default", "kept", "s")
    folder = min(set(snapshots.rglob("*s")) - before, key=lambda path: len(path.parts))
    lxc("storage", "volume", "delete", "default", "kept/s")
    assert not folder.exists(), folder
    folder.mkdir(parents=True)
    (folder / "lost").write_text("of a record that was lost\n")
    refused = lxc("storage", "volume", "snapshot", "default", "kept", "s", check=False)
    assert refused.code != 0 and "is there already" in refused.err and str(folder) in refused.err, refused
    assert (folder / "lost").read_text() == "of a record that was lost\n"
    shutil.rmtree(folder)
    lxc("storage", "volume", "snapshot", "default", "kept", "s")
    lxc("storage", "volume", "delete", "default", "kept")
