"""Folders and files of the host, as `-v` shows them."""
import pathlib
import tempfile

from isletest import images


def folder(env):
    return pathlib.Path(tempfile.mkdtemp(prefix="mount-", dir=env.folder))


def test_root_inside_writes_what_root_outside_owns(env):
    isle, site = env.daemon.isle, folder(env)
    site.chmod(0o700)
    (site / "old").write_text("old\n")
    result = isle("run", "--rm", "-v", f"{site}:/site", "busybox", "sh", "-c",
                  "cat /site/old; stat -c %u:%g /site/old; echo new >/site/new; chown 1000:1000 /site/new; mkdir /site/sub")
    assert result.out == "old\n0:0\n" and result.err == "", result
    status = (site / "new").stat()
    assert (status.st_uid, status.st_gid) == (1000, 1000), status
    assert (site / "sub").stat().st_uid == 0
    # The device of LXD shows owners as they are unless told otherwise.
    plain = isle("run", "--rm", "-D", f"site,type=disk,source={site},path=/site", "busybox", "touch", "/site/x", check=False)
    assert plain.code != 0 and not (site / "x").exists(), plain


def test_read_only(env):
    isle, site = env.daemon.isle, folder(env)
    (site / "file").write_text("text\n")
    result = isle("run", "--rm", "-v", f"{site}:/site:ro", "busybox", "sh", "-c", "cat /site/file; touch /site/x", check=False)
    assert result.code == 1 and result.out == "text\n" and "Read-only" in result.err, result


def test_a_single_file(env):
    isle, site = env.daemon.isle, folder(env)
    (site / "motd").write_text("one\n")
    isle("run", "--rm", "-v", f"{site}/motd:/etc/motd", "busybox", "sh", "-c", "cat /etc/motd && echo two >>/etc/motd")
    assert (site / "motd").read_text() == "one\ntwo\n"
    refused = isle("run", "--rm", "-v", f"{site}/motd:/etc/motd:ro", "busybox", "sh", "-c", "echo three >>/etc/motd", check=False)
    assert refused.code != 0 and (site / "motd").read_text() == "one\ntwo\n", refused


def test_a_missing_folder_is_made(env):
    isle, site = env.daemon.isle, folder(env)
    isle("run", "--rm", "-v", f"{site}/a/b:/data", "busybox", "touch", "/data/x")
    assert (site / "a/b/x").exists() and (site / "a").stat().st_mode & 0o777 == 0o755
    missing = isle("run", "--rm", "-D", f"d,type=disk,source={site}/c,path=/data", "busybox", "true", check=False)
    assert missing.code == 125 and f"{site}/c" in missing.err and not (site / "c").exists(), missing


def test_what_cannot_be_shifted_is_said(env):
    result = env.daemon.isle("run", "--rm", "-v", "/proc/sys/kernel:/k:ro", "busybox", "cat", "/k/ostype")
    assert result.out == "Linux\n" and result.err.startswith("warning: '/proc/sys/kernel' at /k keeps the owners"), result
    device = env.daemon.isle("run", "--rm", "-v", "/dev/null:/extra", "busybox", "sh", "-c", "echo x >/extra; test -c /extra")
    assert device.code == 0, device


def test_volumes_of_an_image(env):
    isle = env.daemon.isle
    archive = images.image_with_volume(env.folder)
    isle("image", "import", archive, "--name", "with-volume")
    isle("launch", "with-volume", "keeper", "--", "sh", "-c", "ls -ln /data; echo more >/data/more; sleep 1000")
    volumes = env.daemon.json("volume", "list")
    assert len(volumes) == 1 and volumes[0]["anonymous"] and volumes[0]["used_by"] == ["/1.0/instances/keeper"], volumes
    listing = isle("exec", "keeper", "--", "stat", "-c", "%n %u %a", "/data", "/data/seed").out
    assert listing == "/data 1000 750\n/data/seed 1000 640\n", listing
    isle("delete", "--force", "keeper")
    assert len(env.daemon.json("volume", "list")) == 1
    assert isle("volume", "prune").out.strip() == volumes[0]["name"] and env.daemon.json("volume", "list") == []
    isle("launch", "with-volume", "keeper", "--", "sleep", "1000")
    isle("rm", "-fv", "keeper")
    assert env.daemon.json("volume", "list") == []
    assert isle("run", "--rm", "with-volume", "cat", "/data/seed").out == "seed\n"
    assert env.daemon.json("volume", "list") == []
    # A named volume begins with the same, once.
    named = ("run", "--rm", "-v", "named:/data", "with-volume", "sh", "-c")
    assert isle(*named, "cat /data/seed && rm /data/seed").out == "seed\n"
    assert isle(*named, "ls /data").out == ""
    assert isle("run", "--rm", "-v", "empty:/data:nocopy", "with-volume", "ls", "/data").out == ""
    isle("volume", "delete", "named", "empty")
    isle("image", "remove", "with-volume")
