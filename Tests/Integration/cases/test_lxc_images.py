"""Debian's `lxc` against the daemon: images, from import to publish."""
import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import tarfile

from isletest import images
from isletest.daemon import Daemon
from isletest.lxd import LXC
from isletest.runner import Skip
from test_lxc_access import Lxc

METADATA = b"""architecture: x86_64
creation_date: 1700000000
properties:
  os: Busybox
  release: "1.0"
  description: Busybox for tests
templates:
  /etc/made:
    when: [create]
    template: made.tpl
"""


def client(env):
    if not shutil.which("lxc"):
        raise Skip("no lxc client (package lxd-client)")
    return LXC(env.daemon, env.folder)


def add(tar, name, data=b"", kind=tarfile.REGTYPE, link=""):
    member = tarfile.TarInfo(name)
    member.size, member.type, member.linkname, member.mode = len(data), kind, link, 0o755
    tar.addfile(member, io.BytesIO(data))


def metadata(tar):
    add(tar, "metadata.yaml", METADATA)
    add(tar, "templates", kind=tarfile.DIRTYPE)
    add(tar, "templates/made.tpl", b"made for {{ container.name }}\n")


def root(env):
    """A tree with busybox as init."""
    path = env.folder / "lxd-root"
    if not path.exists():
        with tarfile.open(env.folder / "busybox.tar") as tar:
            tar.extractall(path, filter="fully_trusted")
        (path / "sbin").mkdir(exist_ok=True)
        (path / "sbin/init").symlink_to("../bin/busybox")
    return path


def unified(env):
    path = env.folder / "unified.tar.gz"
    if not path.exists():
        with tarfile.open(path, "w:gz") as tar:
            metadata(tar)
            tar.add(root(env), arcname="rootfs")
    return path


def sha256(*paths):
    return hashlib.sha256(b"".join(pathlib.Path(path).read_bytes() for path in paths)).hexdigest()


def forget(lxc, *names):
    for name in names:
        lxc("image", "delete", name, check=False)


def test_a_unified_tarball_in_and_out_again(env):
    lxc, path = client(env), unified(env)
    out = lxc.out("image", "import", path, "--alias", "uni", "note=mine")
    assert sha256(path) in out, out
    assert "uni" in lxc.out("image", "list", "uni", "-f", "csv", "-c", "l")
    assert lxc.out("image", "list", "os=Busybox", "-f", "csv", "-c", "f").strip() == sha256(path)[:12]
    info = lxc.out("image", "info", "uni")
    assert "release: 1.0" in info and "Created: 2023/11/14" in info and "note: mine" in info, info
    lxc("image", "export", "uni", env.folder / "out")
    assert (env.folder / "out.tar.gz").read_bytes() == path.read_bytes()
    lxc("launch", "uni", "u1")
    assert lxc.out("exec", "u1", "cat", "/etc/made") == "made for u1\n"
    # Instances go on without it, and it may come back.
    lxc("image", "delete", "uni")
    assert lxc.out("exec", "u1", "echo", "on") == "on\n"
    lxc("image", "import", path, "--alias", "uni")
    lxc("delete", "-f", "u1")
    forget(lxc, "uni")


def test_two_files_and_details(env):
    if not shutil.which("mksquashfs"):
        raise Skip("no mksquashfs (package squashfs-tools)")
    lxc = client(env)
    first, second = env.folder / "meta.tar.xz", env.folder / "root.squashfs"
    with tarfile.open(first, "w:xz") as tar:
        metadata(tar)
    subprocess.run(["mksquashfs", root(env), second, "-noappend", "-all-root", "-quiet"], check=True,
                   stdout=subprocess.DEVNULL)
    lxc("image", "import", first, second, "--alias", "split", "--public")
    assert "yes" in lxc.out("image", "list", "split", "-f", "csv", "-c", "p")
    (env.folder / "split").mkdir()
    lxc("image", "export", "split", env.folder / "split")
    files = sorted((env.folder / "split").iterdir(), key=lambda p: not p.name.startswith("meta-"))
    assert sha256(*files) == sha256(first, second), files
    lxc("image", "set-property", "split", "team", "blue")
    assert lxc.out("image", "get-property", "split", "team") == "blue\n"
    lxc("image", "edit", "split", input=lxc.out("image", "show", "split").replace("public: true", "public: false"))
    assert "public: false" in lxc.out("image", "show", "split")
    fingerprint = sha256(first, second)
    lxc("image", "alias", "create", "deb/12", fingerprint)
    assert lxc("image", "alias", "create", "deb/12", fingerprint, check=False).code != 0
    lxc("image", "alias", "rename", "deb/12", "deb/13")
    assert "deb/13" in lxc.out("image", "alias", "list", "-f", "csv")
    lxc("image", "alias", "delete", "deb/13")
    forget(lxc, "split")


def test_an_oci_image_is_exported_once_it_has_the_form(env):
    lxc = client(env)
    refused = lxc("image", "export", "busybox", env.folder / "bb", check=False)
    assert refused.code != 0 and "isle image convert" in refused.err, refused
    assert not (env.folder / "bb.tar").exists() or (env.folder / "bb.tar").stat().st_size == 0
    env.daemon.isle("image", "convert", "busybox")
    lxc("image", "export", "busybox", env.folder / "bb")
    with tarfile.open(env.folder / "bb.tar") as tar:
        assert "metadata.yaml" in tar.getnames()


def test_publish_export_and_import_elsewhere(env):
    lxc = client(env)
    lxc("image", "import", unified(env), "--alias", "uni")
    lxc("launch", "uni", "p1")
    lxc("exec", "p1", "--", "sh", "-c", "echo changed >/etc/own; rm /etc/group; mkdir /new; ln /etc/own /new/again")
    assert lxc("publish", "p1", "--alias", "pub", check=False).code != 0, "it runs"
    lxc("publish", "p1", "--force", "--alias", "pub", "release=2")
    env.daemon.isle("stop", "-f", "p1", check=False)
    changes = env.daemon.isle("diff", "p1").out.splitlines()
    assert "A /etc/own" in changes and "D /etc/group" in changes and "A /new/again" in changes, changes
    lxc("image", "export", "pub", env.folder / "pub")
    file = env.folder / "pub.tar"
    with tarfile.open(file) as tar:
        names = tar.getnames()
        assert names[0] == "metadata.yaml" and "rootfs/etc/own" in names and "rootfs/etc/group" not in names
        assert tar.getmember("rootfs/new/again").islnk()
    lxc("image", "delete", "pub")
    lxc("image", "import", file, "--alias", "again")
    assert lxc.out("image", "list", "again", "-f", "csv", "-c", "f").strip() == sha256(file)[:12]
    lxc("launch", "again", "p2")
    assert lxc.out("exec", "p2", "cat", "/new/again") == "changed\n"
    lxc("delete", "-f", "p1", "p2")
    forget(lxc, "again", "uni")


def test_bad_tarballs_change_nothing(env):
    lxc = client(env)
    before = lxc.out("image", "list", "-f", "csv")
    cases = {
        "link": lambda tar: add(tar, "rootfs", kind=tarfile.SYMTYPE, link="/"),
        "template": lambda tar: add(tar, "templates/x", kind=tarfile.SYMTYPE, link="/etc/shadow"),
        "climb": lambda tar: add(tar, "rootfs/../../x", b"x"),
        "hard": lambda tar: add(tar, "rootfs/x", kind=tarfile.LNKTYPE, link="/etc/shadow"),
    }
    for name, write in cases.items():
        path = env.folder / f"bad-{name}.tar"
        with tarfile.open(path, "w") as tar:
            add(tar, "metadata.yaml", METADATA.replace(b"/etc/made", b"/etc/x"))
            write(tar)
        result = lxc("image", "import", path, check=False)
        assert result.code != 0 and "refused" in result.err, (name, result)
    (env.folder / "junk.tar").write_text("this is no archive")
    junk = lxc("image", "import", env.folder / "junk.tar", check=False)
    assert junk.code != 0 and "junk.tar" in junk.err and "upload-" not in junk.err, junk
    assert lxc.out("image", "list", "-f", "csv") == before
    assert not list((env.daemon.state / "tmp").iterdir())


def streams(env, folder):
    """A simple streams server's files: an image in two files, and one whose digest is wrong."""
    (folder / "streams/v1").mkdir(parents=True)
    with tarfile.open(folder / "lxd.tar.xz", "w:xz") as tar:
        metadata(tar)
    subprocess.run(["tar", "-C", root(env), "-cJf", folder / "root.tar.xz", "."], check=True)
    first, second = folder / "lxd.tar.xz", folder / "root.tar.xz"
    items = {
        "lxd.tar.xz": {"ftype": "lxd.tar.xz", "path": "lxd.tar.xz", "sha256": sha256(first), "size": first.stat().st_size,
                       "combined_rootxz_sha256": sha256(first, second)},
        "root.tar.xz": {"ftype": "root.tar.xz", "path": "root.tar.xz", "sha256": sha256(second),
                        "size": second.stat().st_size},
    }
    wrong = json.loads(json.dumps(items))
    wrong["root.tar.xz"]["sha256"] = "0" * 64
    outside = {"lxd.tar.xz": {**items["lxd.tar.xz"], "path": "../../etc/passwd"}, "root.tar.xz": items["root.tar.xz"]}
    products = {
        f"test:{name}:amd64": {"aliases": f"{name},busy/{name}", "arch": "amd64", "os": "Busybox", "release": name,
                               "versions": {"20260101_00:00": {"items": files}}}
        for name, files in (("good", items), ("wrong", wrong), ("outside", outside))}
    (folder / "streams/v1/index.json").write_text(json.dumps({"format": "index:1.0", "index": {"images": {
        "datatype": "image-downloads", "path": "streams/v1/images.json", "format": "products:1.0",
        "products": list(products)}}}))
    (folder / "streams/v1/images.json").write_text(json.dumps({"format": "products:1.0", "products": products}))
    return sha256(first, second)


class LocalDaemon(Daemon):
    """A daemon that fetches from its own host."""

    def command(self):
        return super().command() + ["--local-image-servers"]


def test_images_of_a_simple_streams_server(env):
    folder = env.folder / "streams-server"
    folder.mkdir()
    fingerprint = streams(env, folder)
    server = subprocess.Popen(
        env.namespace.command("python3", "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(folder), "8199"),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    daemon = LocalDaemon(env.programs, env.folder / "fetching", f"if{os.getpid() % 100000}", env.namespace)
    daemon.folder.mkdir(mode=0o711)
    daemon.start()
    try:
        lxc = LXC(daemon, daemon.folder)

        def fetch(alias, **more):
            source = {"type": "image", "mode": "pull", "protocol": "simplestreams", "alias": alias,
                      "server": "http://127.0.0.1:8199", **more}
            return lxc("query", "-X", "POST", "--wait", "-d", json.dumps({"source": source, "auto_update": True}),
                       "/1.0/images", check=False)

        assert fetch("busy/good").code == 0
        image = daemon.json("image", "inspect", fingerprint)
        assert image["auto_update"] and image["properties"]["os"] == "Busybox" and image["properties"]["serial"]
        assert image["update_source"]["alias"] == "busy/good", image["update_source"]
        assert fetch("good").code == 0 and len(daemon.json("image", "list")) == 1, "it was here already"
        lxc("image", "refresh", fingerprint)
        for alias in ("wrong", "outside", "none"):
            result = fetch(alias)
            assert result.code != 0, (alias, result)
        post = {"name": "s1", "source": {"type": "image", "mode": "pull", "protocol": "simplestreams", "alias": "good",
                                         "server": "http://127.0.0.1:8199"}}
        lxc("query", "-X", "POST", "--wait", "-d", json.dumps(post), "/1.0/instances")
        assert daemon.names() == ["s1"]
        daemon.isle("delete", "-f", "s1")
        assert not list((daemon.state / "tmp").iterdir())
    finally:
        server.kill()
        server.wait()
        daemon.stop()


def test_servers_at_own_addresses_are_refused(env):
    lxc = client(env)
    body = json.dumps({"source": {"type": "image", "mode": "pull", "protocol": "simplestreams", "alias": "b/1",
                                  "server": "http://127.0.0.1:8199"}})
    result = lxc("query", "-X", "POST", "--wait", "-d", body, "/1.0/images", check=False)
    assert result.code != 0 and "local-image-servers" in result.err + result.out, result
    for address in ("http://169.254.169.254/x", "file:///etc/passwd", "http://localhost/"):
        body = json.dumps({"source": {"type": "url", "url": address}})
        assert lxc("query", "-X", "POST", "--wait", "-d", body, "/1.0/images", check=False).code != 0, address


def test_images_go_from_daemon_to_daemon(env):
    """Two daemons that listen on the network, and a client that is known to both."""
    lxc = Lxc(env, "two")
    other = LocalDaemon(env.programs, env.folder / "second", f"is{os.getpid() % 100000}", env.namespace)
    other.folder.mkdir(mode=0o711)
    other.start()
    try:
        for name, daemon, port in (("one", env.daemon, 8461), ("two", other, 8462)):
            daemon.isle("config", "server", "set", f"core.https_address=127.0.0.1:{port}")
            token = daemon.isle("config", "trust", "add", f"client-of-{name}").out.split()[-1]
            lxc.run("remote", "add", name, token)
        fingerprint = tiny(env, lxc)
        for mode in ("pull", "relay"):
            lxc.run("image", "copy", f"one:{fingerprint}", "two:", "--alias", f"by-{mode}", "--mode", mode)
            copied = json.loads(lxc.out("image", "list", "two:", "--format", "json"))
            assert [(image["fingerprint"], image["properties"]["os"]) for image in copied] == [(fingerprint, "tiny")], copied
            # The next way is to bring it again.
            lxc.run("image", "delete", f"two:by-{mode}")
        assert "not pushed from server to server" in lxc.fails("image", "copy", f"one:{fingerprint}", "two:", "--mode", "push")
        # Many times: the client takes the secret out of the first answer.
        for _ in range(10):
            lxc.run("image", "copy", f"one:{fingerprint}", "two:")
            lxc.run("image", "delete", f"two:{fingerprint}")
        # The source must show the certificate that the client knows it by.
        wrong = json.loads(lxc.out("query", "two:/1.0"))["environment"]["certificate"]
        post = {"source": {"type": "image", "mode": "pull", "server": "https://127.0.0.1:8461", "protocol": "lxd",
                           "fingerprint": fingerprint, "certificate": wrong}}
        refused = lxc.fails("query", "-X", "POST", "--wait", "-d", json.dumps(post), "two:/1.0/images")
        assert "another certificate" in refused, refused
        lxc.run("launch", f"one:{fingerprint}", "two:c1")
        assert other.names() == ["c1"]
        other.isle("delete", "-f", "c1")
        other.isle("create", "--name", "c2", fingerprint)
        assert "cannot be migrated" in lxc.fails("copy", "two:c2", "one:c2")
        other.isle("delete", "c2")
        lxc.run("image", "delete", f"one:{fingerprint}")
    finally:
        other.stop()
        env.daemon.isle("config", "server", "unset", "core.https_address", check=False)


def tiny(env, lxc):
    """A small image of LXD's in one file, in the daemon `one`; its fingerprint."""
    folder = env.folder / "tiny-image"
    (folder / "rootfs/sbin").mkdir(parents=True)
    with tarfile.open(images.busybox_tar(env.folder)) as tar:
        tar.extractall(folder / "rootfs", filter="fully_trusted")
    (folder / "rootfs/sbin/init").symlink_to("../bin/busybox")
    (folder / "metadata.yaml").write_text("architecture: x86_64\ncreation_date: 1600000000\nproperties:\n  os: tiny\n")
    subprocess.run(["tar", "-C", folder, "-czf", env.folder / "tiny.tar.gz", "metadata.yaml", "rootfs"], check=True)
    lxc.run("image", "import", env.folder / "tiny.tar.gz", "one:")
    return sha256(env.folder / "tiny.tar.gz")
