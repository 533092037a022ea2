import os
import subprocess
import time

from isletest import host, images
from isletest.runner import Skip


def test_system_container(env):
    env.need("debian")
    isle = env.daemon.isle
    isle("launch", "debian/bookworm", "box")
    env.daemon.eventually("exec", "box", "systemctl", "is-system-running", seconds=30)
    assert isle("exec", "box", "--", "cat", "/proc/1/comm").out == "systemd\n"
    address = env.daemon.eventually("exec", "box", "--", "sh", "-c", "ip -4 addr show eth0 | grep inet", seconds=20).out
    assert "inet " in address, address
    first = isle("exec", "box", "--", "cat", "/proc/sys/kernel/random/boot_id", "/run/systemd/system", check=False).out
    before = isle("exec", "box", "--", "stat", "-c", "%Y", "/run/systemd").out
    time.sleep(1.1)
    isle("exec", "box", "reboot", check=False)
    time.sleep(1)
    env.daemon.eventually("exec", "box", "systemctl", "is-system-running", seconds=40)
    assert isle("exec", "box", "--", "stat", "-c", "%Y", "/run/systemd").out != before, first
    start = time.monotonic()
    isle("stop", "box")
    assert time.monotonic() - start < 15
    isle("start", "box")
    env.daemon.eventually("exec", "box", "systemctl", "is-system-running", seconds=30)
    isle("exec", "box", "poweroff", check=False)
    env.daemon.wait_status("box", "Stopped", 30)


def test_one_image_three_ways(env):
    env.need("debian", "kernel")
    isle = env.daemon.isle
    application = isle("run", "--rm", "--app", "debian/bookworm", "cat", "/etc/debian_version").out
    isle("launch", "--system", "debian/bookworm", "as-system")
    isle("launch", "--vm", "debian/bookworm", "as-machine")
    env.daemon.eventually("exec", "as-system", "systemctl", "is-system-running", seconds=30)
    env.daemon.eventually("exec", "as-machine", "true", seconds=120)
    assert isle("exec", "as-system", "cat", "/etc/debian_version").out == application
    assert isle("exec", "as-machine", "cat", "/etc/debian_version", timeout=60).out == application
    assert isle("exec", "as-machine", "uname", "-r", timeout=60).out.strip() != os.uname().release
    assert isle("exec", "as-system", "uname", "-r").out.strip() == os.uname().release
    assert isle("exec", "as-machine", "--", "sh", "-c", "exit 6", check=False, timeout=60).code == 6
    kinds = {item["name"]: item.get("kind") for item in env.daemon.json("list")}
    assert kinds == {"as-system": "system", "as-machine": "machine"}, kinds


def test_machine_of_a_program(env):
    env.need("kernel")
    result = env.daemon.isle("run", "--rm", "--vm", "busybox", "sh", "-c", "uname -s; exit 5", check=False, timeout=120)
    assert result.code == 5 and "Linux" in result.out, result


def test_imported_disks_boot(env):
    isle = env.daemon.isle
    raw = images.boot_disk(env.folder / "boot.raw", "BOOTED FROM DISK\r\n")
    for form, name in (("vmdk", "disk.vmdk"), ("vdi", "disk.vdi")):
        path = env.folder / name
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", form, raw, path], check=True)
        isle("image", "import", path, "--name", f"boot-{form}")
        isle("launch", f"boot-{form}", f"from-{form}")
        end = time.monotonic() + 60
        while time.monotonic() < end and "BOOTED FROM DISK" not in isle("logs", f"from-{form}").out:
            time.sleep(0.5)
        assert "BOOTED FROM DISK" in isle("logs", f"from-{form}").out, isle("logs", f"from-{form}")
        isle("delete", "--force", f"from-{form}")
        isle("image", "remove", f"boot-{form}")


def test_module(env):
    env.need("wasm")
    isle, guest = env.daemon.isle, str(env.wasm)
    assert isle("run", "--rm", guest).out == "hello from wasm\n"
    assert isle("run", "--rm", guest, "exit", "42", check=False).code == 42
    assert isle("run", "--rm", guest, "env", "HOME").out == "(unset)\n"
    assert isle("run", "--rm", "-e", "HOME=/x", guest, "env", "HOME").out == "/x\n"
    assert isle("run", "--rm", "-i", guest, "cat", input=b"piped\n").out == "piped\n"
    trap = isle("run", "--rm", guest, "trap", check=False)
    assert trap.code == 134 and "wasm backtrace" in trap.err and "abort" in trap.err, trap
    late = isle("run", "--rm", "--timeout", "1", guest, "loop", check=False)
    assert late.code == 124 and "limit" in late.err, late
    full = isle("run", "--rm", "-m", "32MiB", guest, "grow", check=False)
    assert "full after" in full.out, full


def test_module_sees_only_what_was_granted(env):
    env.need("wasm")
    isle, guest = env.daemon.isle, str(env.wasm)
    folder = env.folder / "granted"
    folder.mkdir()
    (folder / "file").write_text("granted\n")
    (env.folder / "secret").write_text("secret")
    assert isle("run", "--rm", guest, "cat", "/etc/passwd", check=False).code == 2
    assert isle("run", "--rm", "--dir", f"{folder}::/g:ro", guest, "cat", "/g/file").out == "granted\n"
    assert isle("run", "--rm", "--dir", f"{folder}::/g:ro", guest, "cat", "/g/../secret", check=False).code == 2
    assert isle("run", "--rm", "--dir", f"{folder}::/g:ro", guest, "write", "/g/new", "x", check=False).code == 2
    isle("run", "--rm", "--dir", f"{folder}::/g", guest, "write", "/g/new", "written")
    assert (folder / "new").read_text() == "written"


def test_tampered_artifact_is_not_run(env):
    env.need("wasm")
    isle, guest = env.daemon.isle, str(env.wasm)
    isle("run", "--rm", guest)
    artifacts = list((env.daemon.state / "modules").glob("*.cwasm"))
    assert artifacts
    for path in artifacts:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(data)
    assert isle("run", "--rm", guest).out == "hello from wasm\n"


def test_same_address_after_restart(env):
    isle = env.daemon.isle
    isle("launch", "busybox", "fixed", "--", "sleep", "1000")
    before = isle("exec", "fixed", "hostname", "-i").out
    isle("restart", "--timeout", "1", "fixed")
    assert isle("exec", "fixed", "hostname", "-i").out == before


def test_parallel_launches(env):
    running = [env.daemon.background("launch", "busybox", f"p{n}", "--", "sleep", "1000") for n in range(20)]
    failures = [done.communicate(timeout=90)[1] for done in running]
    assert all(done.returncode == 0 for done in running), failures
    assert len(env.daemon.names()) == 20
    env.daemon.isle("delete", "--force", *[f"p{n}" for n in range(20)], timeout=90)
    assert env.daemon.names() == []
    assert host.mounts(str(env.folder)) == []


def test_kvm_is_probed_honestly(env):
    env.need("kernel")
    text = env.daemon.isle("doctor", check=False, timeout=60).out
    if "KVM" not in text:
        raise Skip("doctor says nothing of KVM")
    assert "tried" in text or "run" in text or "TCG" in text, text
