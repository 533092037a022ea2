"""pylxd, unchanged, against the daemon: what its users do."""
import os
import pathlib
import subprocess
import sys

from isletest.runner import Skip

PROGRAM = r'''
import sys, time
import pylxd
client = pylxd.Client()
assert client.trusted and client.host_info["api_version"] == "1.0"
name = "py"
instance = client.instances.create({
    "name": name, "source": {"type": "image", "alias": "busybox"}, "profiles": ["default"],
    "config": {"oci.cmd": '["sleep", "1000"]', "user.owner": "pylxd"}}, wait=True)
assert instance.status == "Stopped" and instance.config["user.owner"] == "pylxd"
instance.files.put("/tmp/early", b"before the start")
instance.start(wait=True)
assert instance.status == "Running", instance.status
assert [i.name for i in client.instances.all()] == [name]
assert client.instances.exists(name) and not client.instances.exists("other")
result = instance.execute(["sh", "-c", "cat /tmp/early; echo error >&2; exit 4"])
assert tuple(result) == (4, "before the start", "error\n"), result
result = instance.execute(["sh", "-c", "echo $WORD; pwd; id -u"], environment={"WORD": "said"}, cwd="/tmp", user=33)
assert result.stdout == "said\n/tmp\n33\n", result
result = instance.execute(["cat"], stdin_payload="from outside\n")
assert result.stdout == "from outside\n", result
seen = []
instance.execute(["echo", "handled"], stdout_handler=seen.append)
assert "".join(seen) == "handled\n", seen
instance.files.put("/root/data", bytes(range(256)), mode=0o640, uid=33, gid=34)
assert instance.files.get("/root/data") == bytes(range(256))
assert instance.execute(["stat", "-c", "%a %u %g", "/root/data"]).stdout == "640 33 34\n"
instance.files.mk_dir("/root/folder", mode=0o750)
assert instance.execute(["stat", "-c", "%a", "/root/folder"]).stdout == "750\n"
instance.files.delete("/root/data")
try:
    instance.files.get("/root/data")
except pylxd.exceptions.NotFound:
    pass
else:
    raise AssertionError("a file that was deleted was read")
instance.config["user.more"] = "1"
instance.description = "described"
instance.save(wait=True)
again = client.instances.get(name)
assert again.config["user.more"] == "1" and again.description == "described"
state = instance.state()
assert state.status == "Running" and state.network["eth0"]["addresses"], state.network
instance.freeze(wait=True)
assert instance.status == "Frozen"
instance.unfreeze(wait=True)
instance.restart(wait=True, force=True)
events = client.events()
instance.stop(wait=True, force=True)
assert instance.status == "Stopped"
instance.rename("py2", wait=True)
assert client.instances.get("py2").name == "py2"
profile = client.profiles.create("pyprofile", config={"user.x": "1"}, devices={})
assert client.profiles.get("pyprofile").config == {"user.x": "1"}
profile.config["user.y"] = "2"
profile.save()
assert client.profiles.get("pyprofile").config["user.y"] == "2"
profile.delete()
assert "pyprofile" not in [p.name for p in client.profiles.all()]
assert client.images.exists("busybox", alias=True)
image = client.images.get_by_alias("busybox")
assert image.fingerprint in [i.fingerprint for i in client.images.all()]
pool = client.storage_pools.get("default")
volume = pool.volumes.create({"name": "pyvol", "type": "custom", "config": {}})
assert "pyvol" in [v.name for v in pool.volumes.all()]
pool.volumes.get("custom", "pyvol").delete()
assert client.networks.all()
client.instances.get("py2").delete(wait=True)
assert client.instances.all() == []
print("all well")
'''


def environment(env):
    """A virtual environment with pylxd, kept between runs."""
    folder = pathlib.Path("/var/tmp/isle-test-pylxd")
    python = folder / "bin/python"
    if not (folder / "ready").exists():
        for command in ([sys.executable, "-m", "venv", folder], [folder / "bin/pip", "install", "-q", "pylxd==2.4.2"]):
            if subprocess.run(command, capture_output=True, timeout=300).returncode != 0:
                raise Skip("pylxd cannot be installed here")
        (folder / "ready").touch()
    return python


def test_what_users_do(env):
    python = environment(env)
    folder = env.folder / "pylxd"
    folder.mkdir(exist_ok=True)
    link = folder / "unix.socket"
    if not link.is_symlink():
        link.symlink_to(env.daemon.socket)
    done = subprocess.run([python, "-c", PROGRAM], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "LXD_DIR": str(folder)})
    assert done.returncode == 0 and "all well" in done.stdout, f"{done.stdout}\n{done.stderr}\n{env.daemon.log_tail(10)}"
