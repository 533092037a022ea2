"""Backups of instances and volumes by Debian's lxc, by isle, and what hostile archives can do."""
import io
import json
import pathlib
import subprocess
import tarfile

from isletest.lxc import Lxc
from test_lxc_storage import need_btrfs

WAITER = "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"


def make(env, name, *options):
    env.daemon.isle("create", "--app", "--name", name, *options, "busybox", "sh", "-c", WAITER)


def run(env, name, script):
    return env.daemon.isle("exec", name, "--", "sh", "-c", script).out


def members(path):
    with tarfile.open(path) as tar:
        return {m.name.strip("/"): m for m in tar}


def leftovers(env):
    state = env.daemon.state
    return sorted(str(p) for folder in ("backups", "tmp") for p in (state / folder).iterdir()
                  if p.name.startswith(("upload-", "backup-", "import-")) or folder == "backups")


def test_an_instance_goes_out_and_comes_back(env):
    lxc, isle = Lxc(env), env.daemon.isle
    make(env, "box", "-c", "user.note=first", "-c", "limits.memory=64MiB")
    isle("start", "box")
    run(env, "box", "echo one > /data; chown 1000:1001 /data; chmod 4711 /data; ln /data /hard; ln -s /data /soft")
    lxc("snapshot", "box", "s0")
    run(env, "box", "echo two > /late; rm /bin/vi")
    archive = env.folder / "box.tar.gz"
    # It runs meanwhile, and goes on running.
    lxc("export", "box", archive)
    assert env.daemon.status("box") == "Running"
    found = members(archive)
    assert next(iter(found)) == "backup/index.yaml"
    with tarfile.open(archive) as tar:
        said = tar.extractfile("backup/container/metadata.yaml").read().decode()
    assert '"architecture": "x86_64"' in said or "architecture: x86_64" in said, said
    data = found["backup/container/rootfs/data"]
    assert (data.uid, data.gid, data.mode & 0o7777) == (1000, 1001, 0o4711), data
    assert "backup/snapshots/s0/rootfs/data" in found and "backup/snapshots/s0/rootfs/late" not in found
    assert "backup/container/rootfs/bin/vi" not in found and "backup/snapshots/s0/rootfs/bin/vi" in found
    assert lxc("import", archive, check=False).code != 0, "the name is taken"
    lxc("import", archive, "second")
    isle("start", "second")
    assert run(env, "second", "cat /data /late; stat -c '%u:%g %a %h' /data; test -e /bin/vi || echo gone").split() == \
        ["one", "two", "1000:1001", "4711", "2", "gone"]
    assert lxc("config", "get", "second", "user.note").out.strip() == "first"
    assert isle("snapshot", "list", "second", "-q").out.split() == ["s0"]
    lxc("restore", "second", "s0")
    assert run(env, "second", "test -e /late || echo none; test -e /bin/vi && echo vi").split() == ["none", "vi"]
    isle("delete", "-f", "box", "second")
    lxc("import", archive)
    assert isle("list", "-q").out.split() == ["box"]
    # Without snapshots, in other compressions, to another pool.
    lxc("storage", "create", "other", "dir")
    for compression in ("none", "zstd", "xz", "bzip2"):
        small = env.folder / f"small-{compression}"
        lxc("export", "box", small, "--instance-only", "--compression", compression)
        head = small.read_bytes()[:6]
        assert head.startswith({"none": b"backup", "zstd": b"\x28\xb5\x2f\xfd", "xz": b"\xfd7zXZ", "bzip2": b"BZh"}[compression])
    lxc("import", env.folder / "small-zstd", "third", "--storage", "other")
    assert isle("snapshot", "list", "third", "-q").out.split() == []
    assert "pool: other" in lxc("config", "show", "third").out
    isle("start", "third")
    assert run(env, "third", "cat /late").strip() == "two"
    isle("delete", "-f", "third")
    lxc("storage", "delete", "other")
    # A pool of folders has no form of its own: the archive is as any other.
    lxc("export", "box", env.folder / "plain", "--optimized-storage", "--instance-only")
    assert "backup/container/rootfs/late" in members(env.folder / "plain")
    refused = lxc("export", "box", env.folder / "x", "--compression", "rm -rf", check=False)
    assert refused.code != 0 and "compression" in refused.err, refused
    assert leftovers(env) == []


def test_optimized_storage(env):
    """btrfs pools write their subvolumes; what they wrote fits btrfs pools alone."""
    need_btrfs()
    lxc, isle = Lxc(env), env.daemon.isle
    for pool in ("fast", "faster"):
        lxc("storage", "create", pool, "btrfs", "size=1GiB")
    try:
        make(env, "box", "-c", "user.note=first", "-D", "root,type=disk,path=/,pool=fast")
        isle("start", "box")
        run(env, "box", "echo one > /data; chown 1000:1001 /data; dd if=/dev/urandom of=/big bs=1M count=8 2>/dev/null")
        lxc("snapshot", "box", "s0")
        run(env, "box", "echo two > /late; rm /bin/vi")
        lxc("snapshot", "box", "s1")
        run(env, "box", "echo three > /latest")
        archive = env.folder / "optimized.tar"
        lxc("export", "box", archive, "--optimized-storage", "--compression", "none")
        found = members(archive)
        assert {"backup/container.bin", "backup/snapshots/s0.bin", "backup/snapshots/s1.bin"} < set(found), set(found)
        # From the second on only what differs.
        sizes = [found[f"backup/{name}.bin"].size for name in ("snapshots/s0", "snapshots/s1", "container")]
        assert sizes[0] > 8 << 20 and max(sizes[1:]) < 1 << 20, sizes
        index = tarfile.open(archive).extractfile("backup/index.yaml").read().decode()
        assert '"optimized": true' in index, index
        lxc("import", archive, "second", "--storage", "faster")
        isle("start", "second")
        assert run(env, "second", "cat /data /late /latest; stat -c %u:%g /data; test -e /bin/vi || echo gone").split() == \
            ["one", "two", "three", "1000:1001", "gone"]
        assert isle("snapshot", "list", "second", "-q").out.split() == ["s0", "s1"]
        lxc("restore", "second", "s0")
        assert run(env, "second", "test -e /late || echo none; test -e /bin/vi && echo vi; cat /data").split() == ["none", "vi", "one"]
        assert lxc("config", "get", "second", "user.note").out.strip() == "first"
        lxc("query", "-X", "POST", "/1.0/instances/box/backups", "-d", '{"name": "b0", "optimized_storage": true}', "--wait")
        kept = json.loads(lxc("query", "/1.0/instances/box/backups/b0").out)
        assert kept["optimized_storage"] is True, kept
        assert [b["name"].split("/")[-1] for b in json.loads(lxc("query", "/1.0/instances?recursion=2").out)[0]["backups"]] == ["b0"]
        refused = lxc("import", archive, "third", "--storage", "default", check=False)
        assert refused.code != 0 and "another storage driver" in refused.err, refused
        # Damaged streams leave nothing.
        broken = env.folder / "broken.tar"
        with tarfile.open(archive) as old, tarfile.open(broken, "w") as new:
            for member in old:
                data = old.extractfile(member).read()
                if member.name.endswith("s1.bin"):
                    data = data[:len(data) // 2] + b"\0" * (len(data) - len(data) // 2)
                new.addfile(member, io.BytesIO(data))
        refused = lxc("import", broken, "third", "--storage", "faster", check=False)
        assert refused.code != 0 and "btrfs send" in refused.err, refused
        assert sorted(isle("list", "-q").out.split()) == ["box", "second"]
        pools = env.daemon.run_dir / "pools"
        if pools.exists():
            assert not [p for p in pools.rglob(".stream-*")]
    finally:
        for name in ("box", "second", "third"):
            isle("delete", "-f", name, check=False)
        for pool in ("fast", "faster"):
            lxc("storage", "delete", pool)
    assert leftovers(env) == []


def test_isle_and_kinds(env):
    isle = env.daemon.isle
    make(env, "app", "-e", "NOTE=yes")
    target = env.folder / "app.tar.zst"
    isle("export", "app", target, "--compression", "zstd")
    isle("import", target, "again")
    isle("start", "again")
    assert run(env, "again", "echo $NOTE").strip() == "yes"
    if env.wasm:
        isle("create", "--name", "mod", env.wasm)
        isle("export", "mod", env.folder / "mod.tar.gz")
        isle("import", env.folder / "mod.tar.gz", "mod2")
        isle("start", "mod2")
        isle("wait", "mod2")
        assert isle("logs", "mod2").out == "hello from wasm\n"
    assert leftovers(env) == []


def test_kept_backups(env):
    lxc, isle = Lxc(env), env.daemon.isle
    make(env, "box")
    query = lambda *words, **options: lxc("query", *words, **options)
    path = "/1.0/instances/box/backups"
    query("-X", "POST", "--wait", "-d", '{"name": "keep", "instance_only": true}', path)
    query("-X", "POST", "--wait", "-d", '{"compression_algorithm": "none"}', path)
    assert json.loads(query(path).out) == [f"{path}/keep", f"{path}/backup0"]
    shown = json.loads(query(f"{path}/keep").out)
    assert shown["instance_only"] and shown["expires_at"].startswith("0001") and shown["size"] > 1000, shown
    for body in ('{"name": "keep"}', '{"name": "../x"}', '{"expires_at": "soon"}', '{"compression_algorithm": "lz9"}'):
        assert query("-X", "POST", "--wait", "-d", body, path, check=False).code != 0, body
    query("-X", "POST", "--wait", "-d", '{"name": "kept"}', f"{path}/keep")
    env.daemon.kill()
    env.daemon.start()
    assert json.loads(query(path).out) == [f"{path}/kept", f"{path}/backup0"]
    assert len(leftovers(env)) == 2
    query("-X", "DELETE", "--wait", f"{path}/backup0")
    isle("delete", "box")
    assert leftovers(env) == []


def test_volumes(env):
    lxc, isle = Lxc(env), env.daemon.isle
    lxc("storage", "volume", "create", "default", "data", "user.a=1")
    make(env, "box")
    lxc("storage", "volume", "attach", "default", "data", "box", "/data")
    isle("start", "box")
    run(env, "box", "echo one > /data/file; chown 7:8 /data/file; chmod 750 /data")
    lxc("storage", "volume", "snapshot", "default", "data", "s")
    run(env, "box", "echo two > /data/file")
    archive = env.folder / "data.tar.gz"
    lxc("storage", "volume", "export", "default", "data", archive)
    found = members(archive)
    assert "backup/volume/file" in found and "backup/volume-snapshots/s/file" in found, list(found)
    lxc("storage", "volume", "import", "default", archive, "copy")
    assert lxc("storage", "volume", "get", "default", "copy", "user.a").out.strip() == "1"
    isle("stop", "box")
    lxc("storage", "volume", "attach", "default", "copy", "box", "/copy")
    isle("start", "box")
    assert run(env, "box", "cat /copy/file; stat -c %u:%g /copy/file; stat -c %a /copy").split() == ["two", "7:8", "750"]
    isle("stop", "box")
    lxc("storage", "volume", "restore", "default", "copy", "s")
    isle("start", "box")
    assert run(env, "box", "cat /copy/file").strip() == "one"
    lxc("storage", "volume", "create", "default", "disk", "--type=block", "size=4MiB")
    lxc("storage", "volume", "export", "default", "disk", env.folder / "disk.tar")
    lxc("storage", "volume", "import", "default", env.folder / "disk.tar", "disk2")
    assert "content_type: block" in lxc("storage", "volume", "show", "default", "disk2").out
    assert lxc("import", archive, "x", check=False).code != 0, "a volume is no instance"
    isle("delete", "-f", "box")
    for name in ("data", "copy", "disk", "disk2"):
        lxc("storage", "volume", "delete", "default", name)
    assert leftovers(env) == []


INDEX = """name: {name}
backend: dir
pool: default
snapshots: [{snapshot}]
optimized: false
optimized_header: false
type: container
config:
  container:
    architecture: x86_64
    config: {{image.os: debian, volatile.idmap.base: "0"{config}}}
    devices: {{}}
    ephemeral: false
    profiles: []
    description: ""
    name: {name}
"""


def forged(env, *entries, name="evil", snapshot="", config=""):
    """A tarball as LXD writes one, with what is hostile in it: (name, type, link target or content, mode)."""
    path = env.folder / "forged.tar"
    text = INDEX.format(name=name, snapshot=snapshot, config=config).encode()
    with tarfile.open(path, "w") as tar:
        def add(name, kind=tarfile.REGTYPE, content=b"", mode=0o644):
            member = tarfile.TarInfo(name)
            member.type, member.mode = kind, mode
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                member.linkname = content
                return tar.addfile(member)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        add("backup/index.yaml", content=text)
        for entry in entries:
            add(*entry)
    return path


def test_an_archive_of_lxd(env):
    lxc, isle = Lxc(env), env.daemon.isle
    rootfs = "backup/container/rootfs"
    archive = forged(env, ("backup/container", tarfile.DIRTYPE, b"", 0o100), ("backup/container/backup.yaml",),
                     (rootfs, tarfile.DIRTYPE, b"", 0o755), (f"{rootfs}/etc", tarfile.DIRTYPE, b"", 0o755),
                     (f"{rootfs}/etc/hostname", tarfile.REGTYPE, b"old\n"))
    lxc("import", archive)
    view = json.loads(isle("list", "--format", "json").out)[0]
    assert view["kind"] == "system" and view["config"]["image.os"] == "debian", view
    assert lxc("file", "pull", "evil/etc/hostname", "-").out == "old\n"


def test_hostile_archives(env):
    lxc, isle = Lxc(env), env.daemon.isle
    rootfs, out = "backup/container/rootfs", env.folder / "escaped"
    top = (rootfs, tarfile.DIRTYPE, b"", 0o755)
    cases = {
        "climbs": [top, (f"{rootfs}/../../../../../{out}",)],
        "climbs from no tree": [top, (f"backup/../../{out}",)],
        "rootfs is a link": [(rootfs, tarfile.SYMTYPE, str(env.folder)), (f"{rootfs}/escaped",)],
        "hard link out": [top, (f"{rootfs}/x", tarfile.LNKTYPE, "../../../etc/passwd")],
        "hard link to another tree": [top, ("backup/x",), (f"{rootfs}/x", tarfile.LNKTYPE, "backup/x")],
        "no files": [],
    }
    for what, entries in cases.items():
        done = lxc("import", forged(env, *entries), check=False)
        assert done.code != 0 and "Error" in done.err, (what, done)
        assert not out.exists(), what
    # Below a link, a name is resolved inside the tree, as it will be for the instance.
    lxc("import", forged(env, top, (f"{rootfs}/x", tarfile.SYMTYPE, str(env.folder)), (f"{rootfs}/x/escaped",)))
    assert not out.exists()
    lxc("delete", "evil")
    for options in ({"name": "../evil"}, {"name": "a/b"}, {"snapshot": "../s"}, {"snapshot": '"a/b"'},
                    {"snapshot": "none"}, {"config": ", raw.lxc: lxc.mount"}, {"config": ", nokey: 1"}):
        done = lxc("import", forged(env, top, **options), check=False)
        assert done.code != 0, (options, done)
    good = forged(env, top, (f"{rootfs}/file", tarfile.REGTYPE, b"x" * 100_000)).read_bytes()
    for what, content in {"cut": good[:60_000], "empty": b"", "noise": b"\x1f\x8b" + b"noise" * 1000,
                          "broken": good[:2000] + b"\xff" * 600 + good[2600:]}.items():
        path = env.folder / "damaged-backup"
        path.write_bytes(content)
        done = lxc("import", path, check=False)
        assert done.code != 0 and "Error" in done.err, (what, done)
    assert env.daemon.names() == [], env.daemon.names()
    assert leftovers(env) == [] and list((env.daemon.state / "instances").iterdir()) == []
    (env.folder / "damaged-backup").write_bytes(good[:300])
    answer = subprocess.run(
        ["curl", "-sS", "--unix-socket", env.daemon.socket, "-H", "Content-Type: application/octet-stream",
         "--data-binary", f"@{env.folder / 'damaged-backup'}", "http://x/1.0/instances"], capture_output=True, check=True)
    assert json.loads(answer.stdout)["error_code"] == 400, answer.stdout
