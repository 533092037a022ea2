"""Files that go into and out of a hostile container: what it makes of its own tree leads nowhere, and runs nowhere."""
import bz2
import gzip
import http.client
import io
import lzma
import subprocess
import tarfile

from isletest.docker import docker, request
from test_lxc_access import Lxc


def tar(name, content):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def test_copies_race_with_links(env):
    """The container swaps a folder for a link to one of the host's while files are copied (CVE-2018-15664)."""
    lxc, outside = Lxc(env), env.folder / "beyond-the-racer"
    outside.mkdir()
    (outside / "secret").write_text("the host's")
    script = (f"mkdir /d; echo inside >/d/secret; while :; do mv /d /d.off; ln -s {outside} /d; rm /d; mv /d.off /d; done")
    env.daemon.isle("run", "-d", "--name", "racer", "busybox", "sh", "-c", script)
    read, refused = 0, 0
    for number in range(150):
        try:
            status, _, body = request(env, "GET", "/containers/racer/archive?path=/d/secret")
        except http.client.IncompleteRead:
            # It went away while it was read, which a stream that has begun can say by ending early alone.
            status = 409
        assert status in (200, 404, 400, 409), (status, body)
        if status == 200:
            assert b"the host's" not in body and b"inside" in body, body
            read += 1
        else:
            refused += 1
        status, _, answer = request(env, "PUT", "/containers/racer/archive?path=/d", tar(f"planted{number}", b"x"), raw=True)
        assert status in (200, 404, 400, 409), (status, answer)
        if number % 10 == 0:
            assert "the host's" not in lxc.run("file", "pull", "racer/d/secret", "-", check=False).stdout
            lxc.run("file", "delete", "racer/d/secret", check=False)
            env.daemon.isle("exec", "racer", "--", "sh", "-c", "echo inside >/d/secret", check=False)
            lxc.run("file", "push", "-p", __file__, f"racer/d/pushed{number}", check=False)
    assert read and refused, f"no race: {read} read, {refused} refused"
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]
    assert (outside / "secret").read_text() == "the host's"
    env.daemon.isle("delete", "-f", "racer")


def test_programs_of_the_container_are_not_run_on_the_host(env):
    """Archives are unpacked while every program that could be asked to help is the container's own."""
    marker = env.folder / "ran-on-the-host"
    names = "tar gzip gunzip unpigz pigz xz unxz xzcat bzip2 zstd unzstd docker-untar chroot sh ld.so newuidmap".split()
    script = f"#!/bin/busybox sh\n: >/ran\n: >{marker}\n"
    env.daemon.isle("run", "-d", "--name", "helper", "busybox", "sleep", "600")
    env.daemon.isle("exec", "helper", "--", "sh", "-c",
                    f"mkdir -p {env.folder} /etc /lib; printf 'passwd: evil\\ngroup: evil\\n' >/etc/nsswitch.conf; "
                    "printf 'root:x:0:0::/:/bin/evil\\n' >/etc/passwd; echo /lib/evil.so >/etc/ld.so.preload")
    for folder in ("bin", "usr/bin", "sbin", "usr/sbin", "usr/local/bin"):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            for name in names:
                if folder == "bin" and name in ("sh",):
                    continue
                member = tarfile.TarInfo(f"{folder}/{name}")
                member.mode, member.size = 0o6755, len(script)
                archive.addfile(member, io.BytesIO(script.encode()))
        assert request(env, "PUT", "/containers/helper/archive?path=/", out.getvalue(), raw=True)[0] == 200
    plain = tar("file", b"content")
    packed = {"plain": plain, "gzip": gzip.compress(plain), "bzip2": bz2.compress(plain), "xz": lzma.compress(plain)}
    if (zstd := subprocess.run(["zstd", "-q", "-c"], input=plain, capture_output=True)).returncode == 0:
        packed["zstd"] = zstd.stdout
    for what, body in packed.items():
        env.daemon.isle("exec", "helper", "--", "busybox", "mkdir", f"/{what}")
        status, _, answer = request(env, "PUT", f"/containers/helper/archive?path=/{what}", body, raw=True)
        assert status == 200, (what, status, answer)
        status, _, body = request(env, "GET", f"/containers/helper/archive?path=/{what}/file")
        assert status == 200 and b"content" in body, (what, body)
    docker(env, "cp", __file__, "helper:/copied")
    Lxc(env).run("file", "push", __file__, "helper/pushed")
    assert Lxc(env).run("file", "pull", "helper/pushed", "-").stdout.startswith('"""Files')
    docker(env, "commit", "helper", "kept")
    docker(env, "export", "-o", env.folder / "exported-by-the-helper.tar", "helper")
    docker(env, "rmi", "kept")
    assert not marker.exists(), "a program of the container ran on the host"
    left = env.daemon.isle("exec", "helper", "--", "busybox", "ls", "/ran", str(marker), check=False)
    assert left.code != 0 and "/ran\n" not in left.out, left
    env.daemon.isle("delete", "-f", "helper")
