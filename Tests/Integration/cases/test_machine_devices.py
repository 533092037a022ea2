"""Disks, discs and interfaces of machines, at the start and while they run; empty machines; the screen."""
import json
import os
import pathlib
import socket
import struct
import subprocess
import tarfile
import time

from isletest import images, lxc
from isletest.runner import Skip

FAST = ("-c", "machine.acceleration=tcg") if not os.environ.get("ISLE_TEST_KVM") else ()


def busybox_system(env):
    """An image whose first program is busybox's init: boots in a second or two, and has no modules of its own."""
    env.need("kernel")
    if env.daemon.isle("image", "inspect", "tinysystem", check=False).code == 0:
        return "tinysystem"
    root = env.folder / "tinysystem"
    with tarfile.open(images.busybox_tar(env.folder)) as tar:
        tar.extractall(root, filter="fully_trusted")
    (root / "sbin").mkdir()
    (root / "sbin/init").symlink_to("../bin/busybox")
    (root / "etc/inittab").write_text("::sysinit:/bin/true\n::askfirst:/bin/sh\n")
    for name in ("mnt", "run"):
        (root / name).mkdir(exist_ok=True)
    subprocess.run(["tar", "-C", root, "-cf", env.folder / "tinysystem.tar", "."], check=True)
    env.daemon.isle("image", "import", env.folder / "tinysystem.tar", "--name", "tinysystem")
    return "tinysystem"


def sh(env, name, script, check=True, timeout=60):
    return env.daemon.isle("exec", name, "--", "/bin/sh", "-c", script, check=check, timeout=timeout)


def disk_of(env, name, serial):
    """The guest's name of the disk with that serial number; empty if it has none."""
    return sh(env, name, f"for d in /sys/block/*; do [ \"$(cat $d/serial 2>/dev/null)\" = {serial} ] && echo ${{d##*/}}; done; true").out.strip()


def wait_disk(env, name, serial, there, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = disk_of(env, name, serial)
        if bool(found) == there:
            return found
        time.sleep(0.2)
    raise AssertionError(f"disk {serial} of {name}: {found!r}, wanted: {there}")


def disc(path, boot_text=None):
    """An ISO 9660 image with one file; with `boot_text` its boot sector writes that to the serial line."""
    folder = pathlib.Path(str(path) + ".d")
    folder.mkdir()
    (folder / "readme.txt").write_text("from the disc\n")
    options = []
    if boot_text:
        (folder / "boot.img").write_bytes(images.boot_disk(folder / "boot.img", boot_text).read_bytes()[:2048])
        options = ["--options", "boot=boot.img,boot-type=no-emulation,boot-load-size=4"]
    done = subprocess.run(["bsdtar", "-C", folder, "-cf", path, "--format=iso9660", *options, "."], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return path


def need_bsdtar():
    if subprocess.run(["sh", "-c", "command -v bsdtar"], capture_output=True).returncode != 0:
        raise Skip("no bsdtar (libarchive-tools)")


def test_disks_at_the_start_and_while_it_runs(env):
    image = busybox_system(env)
    isle = env.daemon.isle
    isle("volume", "create", "--type", "block", "--size", "16MiB", "first")
    isle("volume", "create", "--type", "block", "--size", "16MiB", "second")
    isle("create", "--vm", "--name", "vm", "-m", "256MiB", *FAST, "-D", "one,type=disk,pool=default,source=first", image)
    isle("start", "vm", timeout=120)
    name = wait_disk(env, "vm", "isle_one", True)
    assert sh(env, "vm", f"cat /sys/block/{name}/size").out.strip() == str(16 << 11)
    sh(env, "vm", f"echo kept > /dev/{name}; sync")
    # A second one while it runs; then both leave.
    isle("config", "device", "add", "vm", "two", "disk", "pool=default", "source=second")
    wait_disk(env, "vm", "isle_two", True)
    host_file = env.folder / "host.raw"
    host_file.write_bytes(b"of the host\n".ljust(1 << 20, b"\0"))
    isle("config", "device", "add", "vm", "three", "disk", f"source={host_file}", "readonly=true")
    name = wait_disk(env, "vm", "isle_three", True)
    assert sh(env, "vm", f"head -n 1 /dev/{name}").out == "of the host\n"
    assert sh(env, "vm", f"cat /sys/block/{name}/ro").out == "1\n"
    # Changes of other kinds leave them alone.
    isle("config", "set", "vm", "user.note=x")
    assert disk_of(env, "vm", "isle_two")
    for device in ("one", "two", "three"):
        isle("config", "device", "remove", "vm", device)
        wait_disk(env, "vm", f"isle_{device}", False)
    # What the guest wrote is on the volume; a snapshot and a copy of it hold the same.
    path = pathlib.Path(env.daemon.json("volume", "show", "first")["path"]) / "root.img"
    assert path.read_bytes()[:5] == b"kept\n"
    isle("delete", "--force", "vm")
    for volume in ("first", "second"):
        isle("volume", "delete", volume)


def test_a_container_is_no_machine(env):
    isle = env.daemon.isle
    isle("volume", "create", "--type", "block", "--size", "1MiB", "block")
    refused = isle("create", "--name", "c", "-D", "d,type=disk,pool=default,source=block", "busybox", "sleep", "1000", check=False)
    assert refused.code != 0 and "path" in refused.err, refused
    isle("create", "--name", "c", "busybox", "sleep", "1000")
    refused = isle("config", "device", "add", "c", "d", "disk", "pool=default", "source=block", check=False)
    assert refused.code != 0 and "path" in refused.err, refused
    assert "d" not in env.daemon.json("info", "c")["devices"]
    isle("delete", "c")
    isle("volume", "delete", "block")
    isle("volume", "create", "files")
    env.need("kernel")
    refused = isle("create", "--vm", "--empty", "--name", "m", "-D", "d,type=disk,pool=default,source=files", check=False)
    if refused.code == 0:
        refused = isle("start", "m", check=False)
        isle("delete", "--force", "m")
    assert "holds files" in refused.err, refused
    isle("volume", "delete", "files")


def test_two_machines_do_not_write_one_disk(env):
    image = busybox_system(env)
    isle = env.daemon.isle
    isle("volume", "create", "--type", "block", "--size", "4MiB", "shared")
    for name in ("a", "b"):
        isle("create", "--vm", "--name", name, "-m", "256MiB", *FAST, "-D", "d,type=disk,pool=default,source=shared", image)
    isle("start", "a", timeout=120)
    refused = isle("start", "b", check=False, timeout=120)
    assert refused.code != 0 and "lock" in refused.err, refused
    assert env.daemon.status("a") == "Running"
    for name in ("a", "b"):
        isle("delete", "--force", name)
    isle("volume", "delete", "shared")


def test_interfaces_come_and_go(env):
    image = busybox_system(env)
    isle = env.daemon.isle
    isle("network", "create", "side")
    isle("launch", "--vm", image, "vm", "-m", "256MiB", *FAST, timeout=120)
    sh(env, "vm", "true", timeout=120)
    end = time.monotonic() + 30
    # The guest loads the driver of its first interface by itself.
    while len(before := set(sh(env, "vm", "ls /sys/class/net").out.split())) < 2 and time.monotonic() < end:
        time.sleep(0.2)
    isle("config", "device", "add", "vm", "eth7", "nic", "network=side")
    end = time.monotonic() + 20
    while set(sh(env, "vm", "ls /sys/class/net").out.split()) == before and time.monotonic() < end:
        time.sleep(0.2)
    new = set(sh(env, "vm", "ls /sys/class/net").out.split()) - before
    assert len(new) == 1, new
    mac = sh(env, "vm", f"cat /sys/class/net/{new.pop()}/address").out.strip()
    assert mac in json.dumps(env.daemon.json("info", "vm")) or mac in json.dumps(env.daemon.json("list")), mac
    isle("config", "device", "remove", "vm", "eth7")
    while set(sh(env, "vm", "ls /sys/class/net").out.split()) != before and time.monotonic() < end + 20:
        time.sleep(0.2)
    assert set(sh(env, "vm", "ls /sys/class/net").out.split()) == before
    isle("delete", "--force", "vm")
    isle("network", "delete", "side")


def test_the_users_own_arguments_and_huge_pages(env):
    image = busybox_system(env)
    isle = env.daemon.isle
    isle("create", "--vm", "--name", "vm", "-m", "256MiB", *FAST, image)
    isle("config", "set", "vm", "raw.qemu=-device 'virtio-scsi-pci,id=mine'")
    isle("start", "vm", timeout=120)
    assert "0x1004" in sh(env, "vm", "cat /sys/bus/pci/devices/*/device", timeout=120).out, "no such device in the guest"
    isle("stop", "--force", "vm")
    isle("config", "set", "vm", "raw.qemu=-device no-such-device")
    failed = isle("start", "vm", check=False, timeout=120)
    assert failed.code != 0 and "no-such-device" in failed.err, failed
    for bad in ("raw.qemu='", "raw.qemu= ", "raw.idmap=both 0 0", "raw.lxc=lxc.mount = x"):
        refused = isle("config", "set", "vm", bad, check=False)
        assert refused.code != 0 and bad.split("=")[0] in refused.err, (bad, refused)
    isle("config", "unset", "vm", "raw.qemu")
    isle("config", "set", "vm", "limits.memory.hugepages=true")
    free = int(next(line for line in open("/proc/meminfo") if line.startswith("HugePages_Free")).split()[1])
    started = isle("start", "vm", check=False, timeout=120)
    if free < 128:
        assert started.code != 0 and "128 huge pages" in started.err and f"{free} free" in started.err, started
    else:
        assert started.code == 0, started
        sh(env, "vm", "true", timeout=120)
    isle("delete", "--force", "vm")
    # In a project that restricts them such words are the administrator's.
    isle("project", "create", "tenant", "restricted=true", "features.images=false", "features.profiles=false")
    refused = isle("--project", "tenant", "create", "--vm", "--name", "vm", "-c", "raw.qemu=-S", image, check=False)
    assert refused.code != 0 and "restricted.virtual-machines.lowlevel" in refused.err, refused
    isle("project", "delete", "tenant")


def test_disc_boots_an_empty_machine(env):
    need_bsdtar()
    isle = env.daemon.isle
    path = disc(env.folder / "installer.iso", "BOOTED FROM DISC\r\n")
    isle("volume", "import", path, "installer")
    shown = env.daemon.json("volume", "show", "installer")
    assert shown["content_type"] == "iso" and shown["config"]["size"] == str(os.path.getsize(path)), shown
    bad = isle("volume", "import", images.boot_disk(env.folder / "no.iso", "x"), "bad", check=False)
    assert bad.code != 0 and "disc image" in bad.err, bad
    isle("create", "--empty", "--vm", "--name", "fresh", "-m", "128MiB", *FAST, "--disk", "1GiB")
    isle("config", "device", "add", "fresh", "disc", "disk", "pool=default", "source=installer")
    isle("start", "fresh", timeout=60)
    end = time.monotonic() + 60
    while "BOOTED FROM DISC" not in isle("logs", "fresh").out:
        assert time.monotonic() < end, isle("logs", "fresh").out
        time.sleep(0.3)
    refused = isle("volume", "delete", "installer", check=False)
    assert refused.code != 0 and "fresh" in refused.err, refused
    isle("delete", "--force", "fresh")
    isle("volume", "delete", "installer")


def spice_of_lxc(env, name):
    """LXD's client, without a viewer to start, offers the screen on a socket: a SPICE link on it is answered."""
    try:
        client = lxc.Lxc(env)
    except Skip:
        return
    environment = {**client.environment, "PATH": "/usr/bin:/bin"}
    process = subprocess.Popen(["lxc", "console", "--type=vga", name], env=environment, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        seen = ""
        while "spice+unix://" not in seen:
            line = process.stdout.readline()
            assert line, seen
            seen += line
        path = seen.split("spice+unix://")[1].split()[0]
        for _ in range(2):
            with socket.socket(socket.AF_UNIX) as channel:
                channel.settimeout(20)
                channel.connect(path)
                # SpiceLinkHeader and SpiceLinkMess (spice-protocol, spice/protocol.h): the main channel, no capabilities.
                message = struct.pack("<IBBIII", 0, 1, 0, 0, 0, 18)
                channel.sendall(b"REDQ" + struct.pack("<III", 2, 2, len(message)) + message)
                assert channel.recv(4) == b"REDQ"
    finally:
        process.kill()
        process.wait()


def test_screen(env):
    disk = images.boot_disk(env.folder / "screen.raw", "ON\r\n")
    qcow = env.folder / "screen.qcow2"
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", disk, qcow], check=True)
    isle = env.daemon.isle
    isle("launch", qcow, "shown", "-m", "128MiB", *FAST, timeout=60)
    picture = env.folder / "screen.png"
    first = isle("console", "--screenshot", picture, "shown", check=False)
    if "has no screen" in first.err:
        isle("delete", "--force", "shown")
        raise Skip("the host's QEMU has no SPICE server")
    assert first.code == 0, first
    data = picture.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and data[-8:-4] == b"IEND", data[:16]
    advice = isle("console", "--type", "vga", "shown", check=False)
    assert advice.code != 0 and "lxc console --type=vga" in advice.err, advice
    spice_of_lxc(env, "shown")
    isle("launch", "busybox", "plain", "--", "sleep", "1000")
    refused = isle("console", "--screenshot", picture, "plain", check=False)
    assert refused.code != 0 and "has no screen" in refused.err, refused
    isle("delete", "--force", "shown", "plain")


def test_files_of_a_machine(env):
    image = busybox_system(env)
    client = lxc.Lxc(env)
    isle = env.daemon.isle
    isle("launch", "--vm", image, "vm", "-m", "256MiB", *FAST, timeout=120)
    sh(env, "vm", "true", timeout=120)
    content = os.urandom(700_000)
    local = env.folder / "pushed"
    local.write_bytes(content)
    client("file", "push", "--uid", "1000", "--gid", "1000", "--mode", "0640", local, "vm/home/bob/new folder/pushed", "-p")
    assert sh(env, "vm", "stat -c '%a %u %g %s' '/home/bob/new folder/pushed'").out == "640 1000 1000 700000\n"
    back = env.folder / "pulled"
    client("file", "pull", "vm/home/bob/new folder/pushed", back)
    assert back.read_bytes() == content
    # A shorter one in its place leaves nothing of the longer one.
    local.write_bytes(b"short\n")
    client("file", "push", local, "vm/home/bob/new folder/pushed")
    assert sh(env, "vm", "cat '/home/bob/new folder/pushed'").out == "short\n"
    tree = env.folder / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub/file").write_text("in the tree\n")
    (tree / "link").symlink_to("sub/file")
    client("file", "push", "-r", tree, "vm/root/")
    assert sh(env, "vm", "cat /root/tree/link; readlink /root/tree/link").out == "in the tree\nsub/file\n"
    out = env.folder / "out"
    out.mkdir()
    client("file", "pull", "-r", "vm/root/tree", out)
    assert (out / "tree/sub/file").read_text() == "in the tree\n" and os.readlink(out / "tree/link") == "sub/file"
    client("file", "delete", "vm/root/tree/link")
    assert sh(env, "vm", "ls /root/tree").out == "sub\n"
    refused = client("file", "pull", "vm/root/missing", back, check=False)
    assert refused.code != 0 and "not in the machine" in refused.err + refused.out or "no file" in refused.err, refused
    refused = client("file", "pull", "vm/dev/null", back, check=False)
    assert refused.code != 0, refused
    # Names with all that a shell would act upon, and a line end.
    sh(env, "vm", "mkdir /tmp/odd && touch '/tmp/odd/$(reboot)' \"/tmp/odd/a\nb\" '/tmp/odd/ -rf'")
    listed = json.loads(client("query", "/1.0/instances/vm/files?path=/tmp/odd").out)
    assert sorted(listed) == [" -rf", "$(reboot)", "a\nb"], listed
    isle("delete", "--force", "vm")
