"""Disks as users bring them along: a Debian with its own boot loader, kernel, cloud-init and guest agent."""
import os
import pathlib
import socket
import stat
import subprocess
import time

from isletest import disks, host, images
from isletest.runner import Skip

USER_DATA = """#cloud-config
users:
  - name: alice
    shell: /bin/sh
    ssh_authorized_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJr0Yk alice@example"]
write_files:
  - path: /etc/seeded
    content: "written by cloud-init\\n"
runcmd:
  - [sh, -c, "mkdir -p /srv/www && hostname > /srv/www/index.html && busybox httpd -p 80 -h /srv/www"]
"""
# No probe of KVM, which takes its whole time-out where KVM does not work.
FAST = ("-c", "machine.acceleration=tcg") if not os.environ.get("ISLE_TEST_KVM") else ()
MAC = "00:16:3e:5a:12:07"
NETWORK_CONFIG = """version: 2
ethernets:
  lan0:
    match: {{macaddress: "{mac}"}}
    set-name: lan0
    dhcp4: true
"""


def debian(env):
    if os.environ.get("ISLE_TEST_DISKS") != "1":
        raise Skip("a whole Debian under QEMU's translator takes minutes: ISLE_TEST_DISKS=1 runs it")
    missing = disks.missing()
    if missing:
        raise Skip("making a Debian disk needs: " + ", ".join(missing))
    return disks.DebianDisks(pathlib.Path(__file__).resolve().parents[3] / "out/test").make()


def convert(source, target, form, *options):
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", form, *options, source, target], check=True)
    return target


def guest(env, name, *command, seconds=120, check=True):
    return env.daemon.isle("exec", name, "--", *command, timeout=seconds, check=check)


def wait_agent(env, name, seconds=900):
    env.daemon.eventually("exec", name, "--", "true", seconds=seconds)


def wait_log(env, name, text, seconds=900, since=0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        log = env.daemon.isle("logs", name).out[since:]
        if text in log:
            return log
        time.sleep(0.5)
    raise AssertionError(f"{text!r} is not on {name}'s console after {seconds} s:\n{log[-3000:]}")


def modes(paths=("/dev/net/tun", "/dev/kvm")):
    return {path: stat.S_IMODE(os.stat(path).st_mode) for path in paths if os.path.exists(path)}


def hypervisor(name):
    """Process id of the QEMU that runs the machine `name`."""
    found = [pid for pid, line in host.processes(f"guest={name},") if "qemu-system" in line.split(" ")[0]]
    assert len(found) == 1, found
    return found[0]


def fields(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line.split(":", 1)[0]: line.split(":", 1)[1].split() for line in lines}


def test_vmdk_of_debian(env):
    disk = convert(debian(env).bios, env.folder / "server.vmdk", "vmdk")
    isle = env.daemon.isle
    before = modes()
    isle("launch", "busybox", "neighbour", "--", "sleep", "1000")
    isle("create", "--name", "server", "-m", "512MiB", *FAST, "-p", "8089:80", "-c", f"cloud-init.user-data={USER_DATA}",
         "-c", f"cloud-init.network-config={NETWORK_CONFIG.format(mac=MAC)}", "-D",
         f"eth0,type=nic,network={env.daemon.bridge},hwaddr={MAC}", "--disk", "4GiB", disk, timeout=300)
    isle("start", "server")
    wait_agent(env, "server")
    check_hypervisor(env)
    guest(env, "server", "cloud-init", "status", "--wait", seconds=900)
    # What cloud-init was told.
    assert guest(env, "server", "cat", "/etc/seeded").out == "written by cloud-init\n"
    assert guest(env, "server", "hostname").out == "server\n"
    assert "alice@example" in guest(env, "server", "cat", "/home/alice/.ssh/authorized_keys").out
    assert isle("exec", "-u", "alice", "server", "--", "id", "-un").out == "alice\n"
    result = guest(env, "server", "sh", "-c", "echo out; echo err >&2; exit 3", check=False)
    assert (result.code, result.out, result.err) == (3, "out\n", "err\n"), result
    assert isle("exec", "-i", "server", "--", "cat", input=b"piped").out == "piped"
    assert guest(env, "server", "no-such-program", check=False).code == 127
    # Address by DHCP, names both ways, a published port.
    listed = next(item for item in env.daemon.json("list") if item["name"] == "server")
    address = guest(env, "server", "sh", "-c", "ip -4 -o addr show dev lan0 scope global").out.split("inet ")[1].split("/")[0]
    assert address in str(listed), (address, listed)
    page = guest(env, "server", "cat", "/srv/www/index.html")
    fetched = env.daemon.eventually("exec", "neighbour", "--", "wget", "-qO-", "http://server/", seconds=120)
    assert page.out == "server\n" and fetched.out == "server\n", (page, fetched)
    other = isle("exec", "neighbour", "hostname", "-i").out.split()[0]
    # Resolvers of a real guest ask for bare names nowhere unless told to. `hosts` would show its IPv6 address alone.
    assert other in guest(env, "server", "getent", "ahosts", "neighbour.isle").out
    fetched = subprocess.run(env.namespace.command("/bin/busybox", "wget", "-qO-", "http://127.0.0.1:8089/"), capture_output=True, text=True)
    assert fetched.stdout == "server\n", fetched
    info = isle("info", "server").out
    assert "Running" in info and "machine" in info, info
    # Limits while it runs: processors that come and go, memory by the balloon, time by a control group.
    if os.cpu_count() > 1:
        isle("config", "set", "server", "limits.cpu=2")
        assert guest(env, "server", "nproc").out == "2\n"
        refused = isle("config", "set", "server", "limits.cpu=1", check=False)
        assert refused.code != 0 or not FAST, "without KVM processors stay"
    isle("config", "set", "server", "limits.memory=448MiB")
    refused = isle("config", "set", "server", "limits.memory=4GiB", check=False)
    assert refused.code != 0 and "limits.memory" in refused.err, refused
    isle("config", "set", "server", "limits.cpu.allowance=90ms/100ms")
    group = pathlib.Path(f"/proc/{hypervisor('server')}/cgroup").read_text()
    assert "isle" in group or env.daemon.bridge in group, group
    # A reboot from inside: the same run of QEMU goes on.
    pid = hypervisor("server")
    boot = guest(env, "server", "cat", "/proc/sys/kernel/random/boot_id").out
    length = len(isle("logs", "server").out)
    guest(env, "server", "systemctl", "reboot", check=False)
    wait_log(env, "server", "login:", since=length)
    wait_agent(env, "server")
    assert guest(env, "server", "cat", "/proc/sys/kernel/random/boot_id").out != boot
    assert hypervisor("server") == pid
    # The power button, and nothing of the host has changed.
    start = time.monotonic()
    isle("stop", "--timeout", "300", "server", timeout=400)
    assert time.monotonic() - start < 290, "the guest did not heed the power button"
    assert "reboot: Power down" in isle("logs", "server").out or "Powering off" in isle("logs", "server").out \
        or "Power-Off" in isle("logs", "server").out, isle("logs", "server").out[-1500:]
    assert modes() == before
    isle("image", "remove", "--force", "server", check=False)


def check_hypervisor(env):
    """QEMU has an unprivileged user, no capabilities, its seccomp filter, an empty root, and no host file by name."""
    pid = hypervisor("server")
    status = fields(pid)
    assert len(set(status["Uid"])) == 1 and int(status["Uid"][0]) >= 65536, status["Uid"]
    for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[key][0], 16) == 0, (key, status[key])
    assert status["NoNewPrivs"] == ["1"] and status["Seccomp"] == ["2"], status
    assert status.get("Groups", []) == []
    seen = set(os.listdir(f"/proc/{pid}/root"))
    assert seen <= {"usr", "lib", "lib64", "etc", "dev", "m", "disk", "boot"}, seen
    assert sorted(os.listdir(f"/proc/{pid}/root/etc")) == ["ld.so.cache"]
    assert set(os.listdir(f"/proc/{pid}/root/dev")) <= {"null", "urandom", "kvm"}
    # The console is no terminal of the host's, and the machine's own folder holds nothing of the daemon's.
    line = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    assert "-sandbox" in line and line[line.index("-sandbox") + 1].startswith("on,obsolete=deny,elevateprivileges=deny,spawn=deny")
    assert any(word.startswith("tap,") and ",fd=" in word for word in line), line


def test_kvm_leaves_its_device_alone(env):
    if not os.path.exists("/dev/kvm"):
        raise Skip("no /dev/kvm")
    before = modes()
    disk = convert(images.boot_disk(env.folder / "kvm.raw", "BOOTED\r\n"), env.folder / "kvm.qcow2", "qcow2")
    isle = env.daemon.isle
    result = isle("launch", disk, "server", "-c", "machine.acceleration=kvm", timeout=120, check=False)
    # A KVM that does not run guests may end QEMU, but later than at the opening of its device.
    assert "Permission denied" not in result.err and "Could not access KVM" not in result.err, result
    assert modes() == before
    if result.code == 0:
        pid = hypervisor("server")
        own = os.stat(f"/proc/{pid}/root/dev/kvm")
        assert stat.S_IMODE(own.st_mode) == 0o600 and own.st_uid == int(fields(pid)["Uid"][0]), own
    isle("delete", "--force", "server")
    assert modes() == before


def test_vdi_of_debian_by_uefi(env):
    disk = convert(debian(env).uefi, env.folder / "uefi.vdi", "vdi")
    isle = env.daemon.isle
    isle("launch", disk, "modern", "-m", "512MiB", *FAST, timeout=300)
    wait_log(env, "modern", "login:")
    console = env.daemon.background("console", "modern")
    console.terminate()
    console.wait()
    wait_agent(env, "modern")
    assert guest(env, "modern", "test", "-d", "/sys/firmware/efi").code == 0
    isle("delete", "--force", "modern")


def test_vhdx_and_ova_hold_what_the_disk_held(env):
    source = debian(env).bios
    for form, name in (("vhdx", "server.vhdx"), ("vmdk", "server.ova")):
        path = env.folder / name
        options = ["-o", "subformat=streamOptimized"] if form == "vmdk" else []
        convert(source, path if form == "vhdx" else env.folder / "part.vmdk", form, *options)
        if form == "vmdk":
            size = os.path.getsize(env.folder / "part.vmdk")
            capacity = os.path.getsize(source)
            (env.folder / "server.ovf").write_text(OVF.format(size=size, capacity=capacity))
            subprocess.run(["tar", "-C", env.folder, "-cf", path, "server.ovf", "part.vmdk"], check=True)
            (env.folder / "part.vmdk").unlink()
        env.daemon.isle("image", "import", path, "--name", f"from-{form}", timeout=600)
        path.unlink()
        blob = max((env.daemon.state / "images").rglob("*"), key=lambda p: (p.is_file(), p.stat().st_mtime, p.stat().st_size)
                   if p.is_file() and p.stat().st_size > 1 << 28 else (False, 0, 0))
        subprocess.run(["qemu-img", "compare", "-f", "raw", "-F", "qcow2", source, blob], check=True, capture_output=True)
        env.daemon.isle("image", "remove", f"from-{form}")


OVF = """<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
  xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
  <References><File ovf:href="part.vmdk" ovf:id="file1" ovf:size="{size}"/></References>
  <DiskSection><Info>disks</Info>
    <Disk ovf:capacity="{capacity}" ovf:diskId="vmdisk1" ovf:fileRef="file1"
      ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/></DiskSection>
  <VirtualSystem ovf:id="server"><Info>a server</Info>
    <VirtualHardwareSection><Info>hardware</Info>
      <Item><rasd:ElementName>disk</rasd:ElementName><rasd:HostResource>ovf:/disk/vmdisk1</rasd:HostResource>
        <rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>17</rasd:ResourceType></Item>
    </VirtualHardwareSection></VirtualSystem>
</Envelope>
"""
