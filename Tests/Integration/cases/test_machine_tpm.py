"""A machine's TPM, by swtpm: in the guest, with what it keeps, and where that goes."""
import os
import pathlib
import shutil

from isletest import host
from isletest.runner import Skip
from isletest.waiting import until
from test_lxc_access import Lxc
from test_machine_boot import FAST, tiny, wait_console
from test_machine_devices import busybox_system


def emulators(env):
    return [line for _, line in host.processes(str(env.folder)) if "swtpm socket" in line]


def state(env, name):
    """The folder beside the machine's disk that holds what its TPM keeps."""
    return pathlib.Path(env.daemon.state) / "instances" / env.daemon.json("list", name)[0]["id"] / "tpm/tpm0"


def test_tpm(env):
    if not shutil.which("swtpm"):
        raise Skip("no swtpm")
    lxc = Lxc(env)
    isle = env.daemon.isle
    isle("create", "--name", "vm", "-m", "256MiB", *FAST, tiny(env).bios("vmdk"), timeout=120)
    lxc.run("config", "device", "add", "vm", "tpm0", "tpm")
    assert "one TPM" in lxc.fails("config", "device", "add", "vm", "tpm1", "tpm")
    isle("start", "vm", timeout=120)
    assert "tpm 2" in wait_console(env, "vm", "tiny is up")
    kept = state(env, "vm")
    until(lambda: (kept / "tpm2-00.permall").exists())
    assert kept.stat().st_uid > 65535 and kept.stat().st_mode & 0o077 == 0
    assert len(emulators(env)) == 1
    # It outlives the daemon, and ends with the machine.
    env.daemon.kill()
    env.daemon.start()
    assert len(emulators(env)) == 1 and env.daemon.status("vm") == "Running"
    isle("stop", "--force", "vm")
    until(lambda: not emulators(env))
    before = (kept / "tpm2-00.permall").read_bytes()
    isle("snapshot", "create", "vm", "first")
    lxc.run("copy", "vm", "copy")
    assert (state(env, "copy") / "tpm2-00.permall").read_bytes() == before
    archive = env.folder / "vm.tar.gz"
    lxc.run("export", "vm", archive, timeout=120)
    lxc.run("delete", "--force", "copy")
    (kept / "tpm2-00.permall").write_bytes(b"other")
    lxc.run("restore", "vm", "first")
    assert (kept / "tpm2-00.permall").read_bytes() == before
    lxc.run("delete", "vm")
    assert not kept.exists()
    lxc.run("import", archive, timeout=120)
    assert (state(env, "vm") / "tpm2-00.permall").read_bytes() == before
    # With ids of its own, which the state is given.
    isle("start", "vm", timeout=120)
    assert "tpm 2" in wait_console(env, "vm", "tiny is up")
    isle("delete", "--force", "vm")
    until(lambda: not emulators(env))
    os.unlink(archive)


def test_what_has_none(env):
    lxc = Lxc(env)
    isle = env.daemon.isle
    isle("create", "--name", "c1", "busybox", "sleep", "600")
    assert "cannot be had by a" in lxc.fails("config", "device", "add", "c1", "tpm0", "tpm")
    isle("create", "--vm", "--name", "vm", "-m", "256MiB", *FAST, busybox_system(env))
    lxc.run("config", "device", "add", "vm", "tpm0", "tpm")
    refused = isle("start", "vm", check=False, timeout=60)
    assert refused.code != 0 and "boots Isle's kernel" in refused.err, refused
