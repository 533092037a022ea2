"""Debian's `lxc` against the daemon: instances, from launch to delete."""
import os
import pathlib
import shutil
import stat
import subprocess
import time
import urllib.parse

from isletest.lxd import LXC
from isletest.runner import Skip


def client(env):
    if not shutil.which("lxc"):
        raise Skip("no lxc client (package lxd-client)")
    return LXC(env.daemon, env.folder)


def box(env, name="box", *arguments):
    """A small container that runs: busybox as an application."""
    lxc = client(env)
    env.daemon.isle("launch", "busybox", name, *arguments, "--", "sleep", "1000")
    return lxc


def test_life_of_a_container(env):
    env.need("debian")
    lxc = client(env)
    lxc("launch", "local:debian/bookworm", "c1", "-c", "limits.memory=300MiB", "-c", "user.team=blue")
    assert "c1,RUNNING" in lxc.out("list", "-f", "csv", "-c", "ns")
    assert lxc.out("config", "get", "c1", "limits.memory") == "300MiB\n"
    result = lxc("exec", "c1", "--env", "A=b", "--cwd", "/tmp", "--", "sh", "-c",
                 "echo $A in $(pwd); echo problem >&2; exit 3", check=False)
    assert (result.code, result.out, result.err) == (3, "b in /tmp\n", "problem\n"), result
    assert lxc("exec", "c1", "cat", input="piped\n").out == "piped\n"
    # As a login has it.
    assert lxc.out("exec", "c1", "--", "sh", "-c", "pwd; echo $USER $HOME $LANG") == "/root\nroot /root C.UTF-8\n"
    assert "uid=33" in lxc.out("exec", "c1", "--user", "33", "--group", "33", "id")
    # It cannot be started, which is sooner known than the client has opened its streams.
    for _ in range(5):
        missing = lxc("exec", "c1", "no-such-program", check=False)
        assert missing.code == 127, missing
    info = lxc.out("query", "/1.0/instances/c1/state")
    assert '"status": "Running"' in info and '"processes"' in info, info
    lxc("pause", "c1")
    assert "FROZEN" in lxc.out("list", "-f", "csv", "-c", "s")
    lxc("start", "c1")
    lxc("restart", "c1", "--force")
    assert "running" in lxc.refused("delete", "c1")
    lxc("stop", "c1", "--force")
    assert "not running" in lxc.refused("exec", "c1", "true")
    lxc("rename", "c1", "c2")
    assert lxc.out("list", "-f", "csv", "-c", "n") == "c2\n"
    lxc("delete", "c2")
    assert lxc.out("list", "-f", "csv", "-c", "n") == ""


def test_every_column_and_format(env):
    lxc = box(env, "one")
    lxc("list", "-c", "ns46tPSdlpuMDNbmeafFc")
    for column in "ns46tPSdlpuMDNbmeafFc":
        lxc("list", "-c", column)
    for form in ("csv", "json", "table", "yaml", "compact"):
        assert "one" in lxc.out("list", "-f", form), form
    assert "one" in lxc.out("list", "status=running", "-f", "csv")
    assert "one" not in lxc.out("list", "status=stopped", "-f", "csv")
    assert "one" not in lxc.out("list", "two", "-f", "csv")


def test_configuration(env):
    lxc = box(env, "conf")
    lxc("config", "set", "conf", "user.one=1", "user.two=2")
    assert lxc.out("config", "get", "conf", "user.one") == "1\n"
    lxc("config", "unset", "conf", "user.one")
    assert lxc.out("config", "get", "conf", "user.one") == "\n"
    assert "no.such.key" in lxc.refused("config", "set", "conf", "no.such.key=1")
    assert "limits.memory" in lxc.refused("config", "set", "conf", "limits.memory=much")
    text = lxc.out("config", "show", "conf")
    lxc("config", "edit", "conf", input=text.replace('description: ""', "description: mine").replace("two: \"2\"", "two: \"3\""))
    shown = lxc.out("config", "show", "conf")
    assert "description: mine" in shown and 'user.two: "3"' in shown, shown
    assert "type: nic" in lxc.out("config", "show", "conf", "--expanded")
    lxc("config", "device", "add", "conf", "data", "disk", f"source={env.folder}", "path=/data")
    assert lxc.out("config", "device", "list", "conf") == "data\n"
    assert lxc.out("config", "device", "get", "conf", "data", "path") == "/data\n"
    lxc("config", "device", "set", "conf", "data", "readonly=true")
    lxc("config", "device", "unset", "conf", "data", "readonly")
    assert "readonly" not in lxc.out("config", "device", "show", "conf")
    lxc("config", "device", "override", "conf", "eth0", "name=eth0")
    lxc("config", "device", "remove", "conf", "eth0")
    lxc("config", "device", "remove", "conf", "data")
    assert "colour" in lxc.refused("config", "device", "add", "conf", "x", "disk", "source=/tmp", "path=/x", "colour=red")


def _files(env, lxc, name):
    source = env.folder / f"files-{name}"
    shutil.rmtree(source, ignore_errors=True)
    (source / "tree/below").mkdir(parents=True)
    (source / "one").write_text("one\n")
    (source / "tree/two").write_text("two\n")
    (source / "tree/below/three").write_bytes(os.urandom(300_000))
    (source / "tree/link").symlink_to("two")
    os.chmod(source / "tree/two", 0o640)
    lxc("file", "push", source / "one", f"{name}/root/pushed", "--mode", "0604", "--uid", "33", "--gid", "34")
    lxc("file", "push", source / "one", f"{name}/a/b/c/deep", "--create-dirs")
    lxc("file", "push", "-r", source / "tree", f"{name}/root/")
    back = source / "back"
    back.mkdir()
    lxc("file", "pull", f"{name}/root/pushed", back / "pushed")
    assert (back / "pushed").read_text() == "one\n"
    lxc("file", "pull", "-r", f"{name}/root/tree", back)
    assert (back / "tree/below/three").read_bytes() == (source / "tree/below/three").read_bytes()
    assert os.readlink(back / "tree/link") == "two"
    assert stat.S_IMODE((back / "tree/two").stat().st_mode) == 0o640
    assert lxc.out("file", "pull", f"{name}/a/b/c/deep", "-") == "one\n"
    lxc("file", "push", "-", f"{name}/root/piped", input="piped\n")
    assert lxc.out("file", "pull", f"{name}/root/piped", "-") == "piped\n"
    lxc("file", "delete", f"{name}/root/piped")
    assert "no file" in lxc.refused("file", "pull", f"{name}/root/piped", "-")
    headers = subprocess.run(
        ["curl", "-sI", "--unix-socket", env.daemon.socket, f"http://isle/1.0/instances/{name}/files?path=/root/pushed"],
        capture_output=True, text=True).stdout.lower()
    for line in ("x-lxd-mode: 0604", "x-lxd-uid: 33", "x-lxd-gid: 34", "x-lxd-type: file"):
        assert line in headers, headers


def test_files_of_a_running_and_a_stopped_container(env):
    lxc = box(env, "files")
    _files(env, lxc, "files")
    assert lxc.out("exec", "files", "--", "stat", "-c", "%u:%g %a", "/root/pushed") == "33:34 604\n"
    full = lxc("file", "delete", "files/etc", check=False)
    assert full.code != 0 and "files:/etc" in full.err and "/proc" not in full.err, full
    lxc("stop", "files", "--force")
    lxc("file", "delete", "files/root/pushed")
    _files(env, lxc, "files")
    lxc("start", "files")
    assert lxc.out("exec", "files", "--", "cat", "/root/pushed", "/root/tree/link") == "one\ntwo\n"
    # What is mounted inside is seen from outside too.
    lxc("exec", "files", "--", "sh", "-c", "echo shared > /dev/shm/here")
    assert lxc.out("file", "pull", "files/dev/shm/here", "-") == "shared\n"


def test_paths_stay_inside(env):
    lxc = box(env, "inside")
    secret = env.folder / "secret-of-the-host"
    secret.write_text("secret")
    lxc("exec", "inside", "--", "sh", "-c", f"ln -s {secret} /link; ln -s /proc/1/root /root/proc; ln -s /nowhere/x /dangling")
    assert "secret" not in lxc("file", "pull", "inside/link", "-", check=False).out
    assert "secret" not in lxc("file", "pull", f"inside/root/proc{secret}", "-", check=False).out
    lxc("file", "push", "-", "inside/link", input="overwritten", check=False)
    lxc("file", "push", "-", "inside/../../../../etc/made-by-test", input="x", check=False)
    assert secret.read_text() == "secret" and not pathlib.Path("/etc/made-by-test").exists()
    for path in ("/dev/null", "/dev/zero", "/proc/kmsg", "/root"):
        lxc("file", "push", "-", f"inside{path}", input="x", check=False, timeout=20)
    lxc("exec", "inside", "--", "mknod", "/pipe", "p")
    assert lxc("file", "pull", "inside/pipe", "-", check=False, timeout=20).code != 0


SFTP = """
import os, socket, sys, threading
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
s.sendall(f"GET /1.0/instances/{sys.argv[2]}/sftp HTTP/1.1\\r\\nHost: isle\\r\\nConnection: Upgrade\\r\\nUpgrade: sftp\\r\\n\\r\\n".encode())
head = b""
while b"\\r\\n\\r\\n" not in head: head += s.recv(1)
assert b" 101 " in head, head
def up():
    while (data := os.read(0, 65536)): s.sendall(data)
    s.shutdown(socket.SHUT_WR)
threading.Thread(target=up, daemon=True).start()
while (data := s.recv(65536)): os.write(1, data)
"""


def sftp(env, name, commands):
    """Runs OpenSSH's own client over the instance's session."""
    if not shutil.which("sftp"):
        raise Skip("no sftp (package openssh-client)")
    relay = env.folder / "sftp-relay.py"
    relay.write_text(SFTP)
    return subprocess.run(["sftp", "-b", "-", "-D", f"/usr/bin/python3 {relay} {env.daemon.socket} {name}"],
                          input=commands, capture_output=True, text=True, timeout=60)


def test_sftp(env):
    lxc = box(env, "session")
    big = env.folder / "big"
    big.write_bytes(os.urandom(3_000_000))
    for state in ("running", "stopped"):
        if state == "stopped":
            lxc("stop", "session", "--force")
        done = sftp(env, "session", f"""
mkdir /srv-{state}
put {big} /srv-{state}/big
chmod 600 /srv-{state}/big
rename /srv-{state}/big /srv-{state}/bigger
symlink bigger /srv-{state}/link
get /srv-{state}/link {env.folder}/fetched
ls -ln /srv-{state}
ln /srv-{state}/bigger /srv-{state}/hard
rm /srv-{state}/hard
-rmdir /srv-{state}
""")
        assert done.returncode == 0, done
        assert "-rw-------" in done.stdout and "bigger" in done.stdout, done
        assert (env.folder / "fetched").read_bytes() == big.read_bytes()
    # A session goes on over a start.
    relay = subprocess.Popen(["sftp", "-b", "-", "-D", f"/usr/bin/python3 {env.folder}/sftp-relay.py {env.daemon.socket} session"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    relay.stdin.write("ls /srv-running\n")
    relay.stdin.flush()
    time.sleep(0.7)
    lxc("start", "session")
    out, err = relay.communicate("ls /srv-stopped\nbye\n", timeout=30)
    assert relay.returncode == 0 and "bigger" in out, (out, err)


def test_file_mount(env):
    if not shutil.which("sshfs") or not os.access("/dev/fuse", os.W_OK):
        raise Skip("no sshfs or no FUSE")
    lxc = box(env, "mounted")
    lxc("file", "push", "-", "mounted/root/hello", input="hello\n")
    target = env.folder / "mnt"
    target.mkdir(exist_ok=True)
    mount = lxc.popen("file", "mount", "mounted/root", target, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                      stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + 10
        while time.monotonic() < end and not (target / "hello").exists() and mount.poll() is None:
            time.sleep(0.1)
        assert (target / "hello").read_text() == "hello\n", mount.stdout.read() if mount.poll() is not None else "late"
        (target / "new").write_text("from outside\n")
        assert lxc.out("exec", "mounted", "cat", "/root/new") == "from outside\n"
    finally:
        subprocess.run(["umount", target], check=False)
        mount.terminate()
        mount.wait(10)


def test_metadata_and_templates(env):
    lxc = box(env, "templated")
    assert "architecture: x86_64" in lxc.out("config", "metadata", "show", "templated")
    lxc("config", "metadata", "edit", "templated", input="""
architecture: x86_64
creation_date: 1700000000
properties: {os: Busybox}
templates:
  /etc/motd-by-template:
    when: [start]
    template: motd.tpl
    properties: {greeting: hello}
  /deep/er/once:
    when: [start]
    create_only: true
    template: motd.tpl
""")
    shown = lxc.out("config", "metadata", "show", "templated")
    assert "os: Busybox" in shown and "/etc/motd-by-template" in shown, shown
    lxc("config", "template", "create", "templated", "motd.tpl")
    lxc("config", "template", "edit", "templated", "motd.tpl",
        input="{{ properties.greeting|default:\"?\" }} {{ container.name }} {{ trigger }} {{ config_get('user.x', 'none') }}\n")
    assert lxc.out("config", "template", "list", "templated", check=False).count("motd.tpl") == 1
    assert "container.name" in lxc.out("config", "template", "show", "templated", "motd.tpl")
    lxc("restart", "templated", "--force")
    assert lxc.out("exec", "templated", "cat", "/etc/motd-by-template") == "hello templated start none\n"
    lxc("exec", "templated", "--", "sh", "-c", "echo kept > /deep/er/once")
    lxc("config", "set", "templated", "user.x=set")
    lxc("restart", "templated", "--force")
    assert lxc.out("exec", "templated", "cat", "/etc/motd-by-template", "/deep/er/once") == "hello templated start set\nkept\n"
    lxc("stop", "templated", "--force")
    lxc("config", "template", "edit", "templated", "motd.tpl", input="{% include \"/etc/shadow\" %}")
    assert "include" in lxc.refused("start", "templated")
    lxc("config", "template", "delete", "templated", "motd.tpl")
    assert "not allowed" in lxc.refused("query", "-X", "POST", "--raw", "/1.0/instances/templated/metadata/templates?path=..%2fx")


def test_cloud_init_data_in_containers(env):
    env.need("debian")
    lxc = client(env)
    lxc("init", "local:debian/bookworm", "cloudy")
    seed = "/var/lib/cloud/seed/nocloud-net"
    lxc("config", "set", "cloudy", "cloud-init.user-data=#cloud-config\npackages: [x]\n", "user.network-config=version: 1")
    told = env.daemon.isle("start", "cloudy")
    assert "no cloud-init" in told.err, told
    assert lxc("exec", "cloudy", "--", "ls", seed, check=False).code != 0
    lxc("exec", "cloudy", "--", "sh", "-c", "mkdir -p /usr/bin; : > /usr/bin/cloud-init")
    lxc("restart", "cloudy", "--force")
    show = ["exec", "cloudy", "--", "cat"]
    assert lxc.out(*show, f"{seed}/user-data") == "#cloud-config\npackages: [x]\n"
    assert lxc.out(*show, f"{seed}/network-config") == "version: 1"
    first = lxc.out(*show, f"{seed}/meta-data")
    assert "local-hostname: cloudy" in first and "instance-id: " in first, first
    assert lxc.out("exec", "cloudy", "--", "stat", "-c", "%u %a", f"{seed}/user-data") == "0 600\n"
    lxc("restart", "cloudy", "--force")
    assert lxc.out(*show, f"{seed}/meta-data") == first
    lxc("config", "set", "cloudy", "cloud-init.vendor-data=#cloud-config\n{}\n")
    lxc("restart", "cloudy", "--force")
    assert lxc.out(*show, f"{seed}/meta-data") != first and lxc.out(*show, f"{seed}/vendor-data")


def test_state_of_all(env):
    lxc = box(env, "all1")
    box(env, "all2")
    lxc("stop", "--all", "--force")
    assert lxc.out("list", "-f", "csv", "-c", "s") == "STOPPED\nSTOPPED\n"
    lxc("start", "--all")
    assert lxc.out("list", "-f", "csv", "-c", "s") == "RUNNING\nRUNNING\n"
    lxc("query", "-X", "PUT", "--wait", "-d", '{"state": {"action": "freeze"}}', "/1.0/instances")
    assert lxc.out("list", "-f", "csv", "-c", "s") == "FROZEN\nFROZEN\n"


def test_devices_come_and_go(env):
    lxc = box(env, "live")
    shared = env.folder / "live-shared"
    shared.mkdir(exist_ok=True)
    (shared / "file").write_text("shared\n")
    os.chmod(shared, 0o777)
    lxc("config", "device", "add", "live", "data", "disk", f"source={shared}", "path=/data/deep")
    assert lxc.out("exec", "live", "cat", "/data/deep/file") == "shared\n"
    lxc("config", "device", "set", "live", "data", "readonly=true")
    assert lxc("exec", "live", "touch", "/data/deep/new", check=False).code != 0
    lxc("config", "device", "set", "live", "data", "readonly=false", "shift=true")
    lxc("exec", "live", "touch", "/data/deep/new")
    assert (shared / "new").stat().st_uid == 0
    lxc("config", "device", "add", "live", "one", "disk", f"source={shared}/file", "path=/root/one")
    assert lxc.out("exec", "live", "cat", "/root/one") == "shared\n"
    lxc("config", "device", "remove", "live", "data")
    lxc("config", "device", "remove", "live", "one")
    assert lxc.out("exec", "live", "--", "sh", "-c", "ls /data/deep; grep -c deep /proc/mounts", check=False) == "0\n"
    lxc("config", "device", "add", "live", "zero", "unix-char", "source=/dev/zero", "path=/dev/myzero", "mode=0640", "gid=7")
    assert lxc.out("exec", "live", "--", "stat", "-c", "%F %a %u %g", "/dev/myzero") == "character special file 640 0 7\n"
    assert lxc.out("exec", "live", "--", "sh", "-c", "head -c 3 /dev/myzero | wc -c") == "3\n"
    lxc("config", "device", "remove", "live", "zero")
    assert lxc("exec", "live", "--", "head", "-c", "3", "/dev/myzero", check=False).out == ""
    # A device that cannot be shown changes nothing.
    assert "does not exist" in lxc.refused("config", "device", "add", "live", "gone", "disk", "source=/no/such", "path=/x")
    assert lxc.out("config", "device", "list", "live").strip() == ""
    lxc("config", "device", "add", "live", "gone", "disk", "source=/no/such", "path=/x", "required=false")
    for type, word in (("tpm", "not offered"), ("pci", "not offered"), ("colour", "not known")):
        assert word in lxc.refused("config", "device", "add", "live", "x", type, "path=/dev/x")
    assert "no graphics card" in lxc.refused("config", "device", "add", "live", "card", "gpu", "vendorid=ffff")
    lxc("config", "device", "add", "live", "stick", "usb", "vendorid=ffff")


def test_keys_of_containers(env):
    lxc = box(env, "keys", "-c", "limits.kernel.nofile=300:400", "-c", "security.syscalls.deny=mkdir\nmkdirat errno 95")
    assert lxc.out("exec", "keys", "--", "sh", "-c", "ulimit -n; ulimit -Hn") == "300\n400\n"
    assert "not permitted" in lxc("exec", "keys", "mkdir", "/x", check=False).err
    lxc("config", "set", "keys", "limits.cpu.priority=3", "limits.memory=200MiB", "limits.memory.enforce=soft")
    lxc("config", "set", "keys", "limits.memory.enforce=hard", "limits.cpu=1", "limits.processes=100")
    for key, value, word in (
            ("raw.lxc", "x", "not offered"), ("security.idmap.size", "99999999", "not a value"),
            ("limits.cpu.priority", "11", "not a value"), ("security.syscalls.intercept.mount", "true", "not offered"),
            ("nvidia.runtime", "true", "not offered"), ("limits.kernel.colour", "1", "not a resource limit")):
        assert word in lxc.refused("config", "set", "keys", f"{key}={value}"), key
    shown = lxc.out("config", "show", "keys")
    for key in ("volatile.uuid", "volatile.eth0.hwaddr", "volatile.last_state.power: RUNNING", "volatile.idmap.current"):
        assert key in shown, shown


def test_states_that_do_not_fit(env):
    lxc = client(env)
    env.daemon.isle("launch", "busybox", "deaf", "--", "sh", "-c", "trap '' TERM; while :; do sleep 1; done")
    # As with LXD nothing is killed that nobody asked to kill.
    assert "still runs" in lxc.refused("stop", "deaf", "--timeout", "1")
    assert "still runs" in lxc.refused("restart", "deaf", "--timeout", "1")
    assert env.daemon.status("deaf") == "Running"
    assert "already running" in lxc.refused("start", "deaf")
    lxc("pause", "deaf")
    assert "already frozen" in lxc.refused("pause", "deaf")
    lxc("start", "deaf")
    lxc("stop", "deaf", "--force")
    for words in (("stop",), ("stop", "--force"), ("restart",)):
        assert "already stopped" in lxc.refused(*words, "deaf")
    # Docker's users, whose habits Isle's own client has, mean the state.
    env.daemon.isle("stop", "deaf")
    env.daemon.isle("start", "deaf")
    env.daemon.isle("stop", "--timeout", "1", "deaf")
    assert env.daemon.status("deaf") == "Stopped"
    assert "in a cluster" in lxc.refused("init", "busybox", "x", "--target", "here")
    assert "twice" in lxc.refused("init", "busybox", "x", "-p", "default", "-p", "default")
    lxc("init", "busybox", "lost", "-c", 'oci.cmd=["/no/such/program"]')
    assert "/no/such/program" in lxc.refused("start", "lost")
    assert "/no/such/program" in lxc.out("info", "lost", "--show-log")
    assert "Log:" in lxc.out("info", "deaf", "--show-log")


def test_a_script_as_init(env):
    """Its shell is busybox, which is no busybox init: what it is asked to stop by is a power failure."""
    lxc = client(env)
    folder = env.folder / "scripted"
    for path in ("rootfs/bin", "rootfs/sbin", "rootfs/proc", "rootfs/sys", "rootfs/dev", "rootfs/etc"):
        (folder / path).mkdir(parents=True)
    shutil.copy("/bin/busybox", folder / "rootfs/bin/busybox")
    (folder / "rootfs/bin/sh").symlink_to("busybox")
    init = folder / "rootfs/sbin/init"
    init.write_text("#!/bin/sh\ntrap 'exit 0' PWR\ntrap 'echo USR2' USR2\nwhile :; do /bin/busybox sleep 1 & wait $!; done\n")
    init.chmod(0o755)
    (folder / "metadata.yaml").write_text("architecture: x86_64\ncreation_date: 1700000000\nproperties: {os: Scripted}\n")
    subprocess.run(["tar", "-C", folder, "-czf", env.folder / "scripted.tar.gz", "metadata.yaml", "rootfs"], check=True)
    lxc("image", "import", str(env.folder / "scripted.tar.gz"), "--alias", "scripted")
    lxc("launch", "scripted", "pwr")
    link = lxc.out("exec", "pwr", "--", "/bin/busybox", "ip", "link", "show", "eth0")
    assert ",UP" in link, link
    begun = time.monotonic()
    lxc("stop", "pwr")
    assert time.monotonic() - begun < 10
    assert lxc.out("config", "get", "pwr", "image.os") == "Scripted\n"
    lxc("delete", "pwr")
    lxc("image", "delete", "scripted")


def test_what_is_known_of_the_image(env):
    lxc = client(env)
    fingerprint = lxc.out("image", "list", "busybox", "-f", "csv", "-c", "F").split()[0]
    lxc("image", "set-property", fingerprint, "os", "BusyBox")
    lxc("init", fingerprint, "known", "-c", 'oci.cmd=["sleep", "600"]')
    assert lxc.out("config", "get", "known", "image.os") == "BusyBox\n"
    assert lxc.out("config", "get", "known", "volatile.base_image") == fingerprint + "\n"
    assert lxc.out("list", "image.os=BusyBox", "-f", "csv", "-c", "n") == "known\n"
    assert not lxc.out("query", f"/1.0/images/{fingerprint}").count('"last_used_at": "0001')
    for text, names in (("name eq known and type eq container", 1), ("name eq nobody or name eq known", 1),
                        ('config.image.os eq "BusyBox"', 1), ("name ne known and config.image.os eq busybox", 0)):
        found = lxc.out("query", "/1.0/instances?filter=" + urllib.parse.quote(text))
        assert found.count("/1.0/instances/") == names, (text, found)
    lxc("image", "unset-property", fingerprint, "os")
    assert '"os"' not in lxc.out("query", f"/1.0/images/{fingerprint}")
    assert "named" in lxc.refused("move", "known", "known")
    answer = subprocess.run(["curl", "-s", "--unix-socket", env.daemon.socket, "-X", "PUT", "http://isle/1.0/instances/known"],
                            capture_output=True, text=True).stdout
    assert '"error_code":400' in answer and "empty" in answer, answer
    assert lxc.out("config", "get", "known", "image.os") == "BusyBox\n"


def test_ids_of_the_host(env):
    lxc = client(env)
    shared = env.folder / "mapped-ids"
    shared.mkdir()
    for name, owner in (("mine", 1000), ("other", 1001)):
        (shared / name).write_text(name)
        os.chown(shared / name, owner, owner)
    os.chmod(shared, 0o777)
    assert "first the host's" in lxc.refused("init", "busybox", "ids", "-c", "raw.idmap=both 1000")
    assert "root user" in lxc.refused("init", "busybox", "ids", "-c", "raw.idmap=both 0 1000")
    lxc("init", "busybox", "twice", "-c", 'oci.cmd=["sleep", "600"]', "-c", "security.idmap.base=700000", "-c", "raw.idmap=both 700009 1000")
    assert "own range" in lxc.refused("start", "twice")
    lxc("delete", "twice")
    lxc("init", "busybox", "ids", "-c", 'oci.cmd=["sleep", "600"]', "-c", "raw.idmap=both 1000 500\nuid 1002 0")
    lxc("config", "device", "add", "ids", "data", "disk", f"source={shared}", "path=/data")
    lxc("config", "device", "add", "ids", "null", "unix-char", "source=/dev/null", "path=/dev/own", "uid=500", "gid=7", "mode=0600")
    lxc("start", "ids")
    run = lambda *words: lxc.out("exec", "ids", "--", *words).strip()
    assert run("stat", "-c", "%u:%g", "/data/mine", "/data/other", "/dev/own", "/etc", "/bin/busybox") == \
        "500:500\n65534:65534\n500:7\n0:0\n0:0"
    run("sh", "-c", "touch /data/root /kept && mkdir -p /home/u && chown 500:500 /home/u /data/root")
    lxc("exec", "ids", "--user", "500", "--group", "500", "--", "sh", "-c", "echo written > /data/mine && touch /home/u/file /data/new")
    assert (shared / "mine").read_text() == "written\n"
    assert [(shared / name).stat().st_uid for name in ("root", "new")] == [1000, 1000]
    lxc("file", "push", "-", "ids/home/u/pushed", "--uid", "500", "--gid", "500", "--mode", "0600", input="by the API")
    assert run("stat", "-c", "%u:%g %a", "/home/u/pushed", "/kept") == "500:500 600\n0:0 644"
    assert lxc.out("file", "pull", "ids/home/u/pushed", "-") == "by the API"
    assert '"Hostid":1000,"Nsid":500,"Maprange":1' in lxc.out("config", "get", "ids", "volatile.idmap.current")
    # Owners on disk are those inside: without the mapping all is as it was.
    lxc("config", "unset", "ids", "raw.idmap")
    lxc("restart", "-f", "ids")
    assert run("stat", "-c", "%u:%g", "/data/mine", "/home/u/pushed", "/home/u/file", "/kept") == \
        "65534:65534\n500:500\n500:500\n0:0"
    lxc("project", "create", "tight", "-c", "restricted=true", "-c", "features.images=false", "-c", "features.profiles=false")
    refused = lxc.refused("init", "busybox", "ids2", "--project", "tight", "-c", 'oci.cmd=["sleep", "1"]', "-c", "raw.idmap=both 1000 1000")
    assert "restricted.containers.lowlevel" in refused, refused
    lxc("project", "set", "tight", "restricted.idmap.uid=1000-1005", "restricted.idmap.gid=1000")
    lxc("init", "busybox", "ids2", "--project", "tight", "-c", 'oci.cmd=["sleep", "1"]', "-c", "raw.idmap=both 1000 1000")
    assert "restricted.idmap.gid" in lxc.refused("config", "set", "ids2", "--project", "tight", "raw.idmap=both 1001 1000")
    lxc("delete", "ids2", "--project", "tight")
    lxc("project", "delete", "tight")


def test_filters_of_system_calls_in_lxcs_form(env):
    lxc = client(env)
    for key, value, word in (("raw.seccomp", "2\ndenylist\nmkdir errno", "no action"), ("raw.seccomp", "1\nallowlist\n5", "version"),
                             ("security.syscalls.allow", "mk dir", "no action")):
        assert word in lxc.refused("init", "busybox", "filtered", "-c", f"{key}={value}"), key
    policy = "2\ndenylist\n[all]\nreject_force_umount\nmkdir errno 95\nmkdirat errno 95\nchmod errno 1 [1,511,SCMP_CMP_EQ]\nfchmodat errno 1 [2,511,SCMP_CMP_EQ]\n"
    lxc("init", "busybox", "filtered", "-c", 'oci.cmd=["sleep", "600"]', "-c", f"raw.seccomp={policy}")
    lxc("start", "filtered")
    run = lambda *words: lxc("exec", "filtered", "--", *words, check=False)
    assert "not supported" in run("mkdir", "/x").err
    assert run("chmod", "700", "/etc").code == 0 and "not permitted" in run("chmod", "777", "/etc").err
    assert run("grep", "Seccomp:", "/proc/self/status").out.split() == ["Seccomp:", "2"]
    header = pathlib.Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if header.exists():
        calls = [line.split()[1][len("__NR_"):] for line in header.read_text().splitlines() if line.startswith("#define __NR_")]
        allowed = "\n".join(call for call in calls if call not in ("mkdir", "mkdirat"))
        lxc("config", "unset", "filtered", "raw.seccomp")
        lxc("config", "set", "filtered", f"security.syscalls.allow={allowed}")
        lxc("restart", "-f", "filtered")
        assert run("true").code == 0 and run("mkdir", "/x").code == 128 + 31
    lxc("delete", "-f", "filtered")


def test_empty_and_rebuilt(env):
    lxc = client(env)
    lxc("init", "empty", "--empty")
    assert lxc.out("list", "empty", "-f", "csv", "-c", "s") == "STOPPED\n"
    lxc("file", "push", "-", "empty/note", input="kept inside\n")
    assert lxc.out("file", "pull", "empty/note", "-") == "kept inside\n"
    lxc("query", "-X", "POST", "--wait", "-d", '{"source": {"type": "image", "alias": "busybox"}}', "/1.0/instances/empty/rebuild")
    assert "no file" in lxc.refused("file", "pull", "empty/note", "-")
    lxc("file", "pull", "empty/bin/busybox", "-")
    lxc("init", "busybox", "sized", "-t", "c1-m0.5", "-c", 'oci.cmd=["sleep", "1"]')
    assert lxc.out("config", "get", "sized", "limits.memory") == "512MiB\n"
    assert "not an instance type" in lxc.refused("init", "busybox", "x", "-t", "huge")


def test_parallel_operations(env):
    lxc = client(env)
    env.daemon.isle("launch", "busybox", "par", "--", "sleep", "1000")
    running = [lxc.popen("query", "-X", "PATCH", "-d", f'{{"config": {{"user.k{n}": "{n}"}}}}', "/1.0/instances/par", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
               for n in range(40)]
    assert [process.wait(60) for process in running] == [0] * 40
    assert lxc.out("config", "show", "par").count("user.k") == 40


def test_proxy_devices_with_a_process(env):
    lxc = box(env, "proxied")
    netns = env.namespace
    port = 20000 + os.getpid() % 20000

    def ask(code):
        return subprocess.run(netns.command("python3", "-c", code), capture_output=True, text=True, timeout=20).stdout

    tcp = f"import socket; s = socket.create_connection(('127.0.0.1', {port}), 5); print(s.recv(100).decode())"
    server = lxc.popen("exec", "proxied", "--", "sh", "-c", "while true; do echo answer | nc -l -p 81; done",
                       stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        lxc("config", "device", "add", "proxied", "web", "proxy", f"listen=tcp:127.0.0.1:{port}",
            "connect=tcp:127.0.0.1:81", "nat=false")
        assert "answer" in ask(tcp)
        path = env.folder / "proxy.sock"
        lxc("config", "device", "add", "proxied", "sock", "proxy", f"listen=unix:{path}", "connect=tcp:127.0.0.1:81", "mode=0600")
        assert path.is_socket() and stat.S_IMODE(path.stat().st_mode) == 0o600
        assert "Address in use" in lxc.refused("config", "device", "add", "proxied", "again", "proxy",
                                               f"listen=tcp:127.0.0.1:{port}", "connect=tcp:127.0.0.1:81", "nat=false")
        # It outlives the daemon.
        env.daemon.kill()
        assert "answer" in ask(tcp)
        env.daemon.start()
        # The other way: a port inside leads to a socket of the host.
        lxc("config", "device", "add", "proxied", "out", "proxy", "listen=tcp:127.0.0.1:82", f"connect=unix:{path}",
            "bind=instance")
        assert "answer" in lxc.out("exec", "proxied", "--", "sh", "-c", "nc 127.0.0.1 82 < /dev/null")
        lxc("config", "device", "remove", "proxied", "web")
        assert ask(tcp) == ""
    finally:
        server.kill()
        server.wait()
    lxc("restart", "proxied", "--force")
    assert path.is_socket()
    for listen, connect in (("tcp:nowhere:80", "tcp:127.0.0.1:80"), ("unix:relative", "tcp:127.0.0.1:80"),
                            ("udp:127.0.0.1:80", "unix:/x")):
        lxc.refused("config", "device", "add", "proxied", "wrong", "proxy", f"listen={listen}", f"connect={connect}", "nat=false")
