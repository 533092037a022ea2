"""Disks as VMware and VirtualBox leave them, small enough to boot by their own loader under QEMU's translator."""
import os
import time

from isletest import cache, disks
from isletest.runner import Skip

# No probe of KVM, which takes its whole time-out where KVM does not work.
FAST = ("-c", "machine.acceleration=tcg") if not os.environ.get("ISLE_TEST_KVM") else ()


def tiny(env):
    missing = disks.missing()
    if missing:
        raise Skip("making bootable disks needs: " + ", ".join(missing))
    env.need("kernel")
    # Once for all tests of a run.
    if not hasattr(env, "tiny"):
        kernel = cache.bootable_kernel(env.daemon.state / "kernels")
        if not kernel:
            raise Skip("the distribution's kernel package cannot be fetched")
        env.tiny = disks.TinyDisks(env.folder / "tiny", kernel)
    return env.tiny


def wait_console(env, name, text, seconds=150):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        log = env.daemon.isle("logs", name).out
        if text in log:
            return log
        time.sleep(0.3)
    raise AssertionError(f"{text!r} is not on {name}'s console after {seconds} s:\n{log[-3000:]}")


def boots(env, disk, name, memory):
    """Imports and boots the disk, works with it on the serial console, and presses the power button."""
    isle = env.daemon.isle
    isle("launch", disk, name, "-m", memory, *FAST, timeout=120)
    # What a client is told of a guest without an agent, at once and not after its time-out.
    refused = isle("exec", name, "--", "true", check=False, timeout=25)
    assert refused.code != 0 and "still booting" in refused.err, refused
    wait_console(env, name, "tiny is up")
    typed = env.daemon.isle("attach", name, input=b"echo answer $((6 * 7))\n", check=False, timeout=30)
    log = wait_console(env, name, "answer 42", seconds=30)
    assert typed.code == 0, typed
    return log


def test_vmdk_boots_by_bios_to_the_serial_console(env):
    disk = tiny(env).bios("vmdk")
    log = boots(env, disk, "vmware", "192MiB")
    assert "firmware bios" in log, log
    env.daemon.isle("delete", "--force", "vmware")


def test_vdi_boots_by_uefi_to_the_serial_console(env):
    if not os.path.exists("/usr/share/OVMF/OVMF_CODE_4M.fd"):
        raise Skip("no UEFI firmware (ovmf)")
    disk = tiny(env).uefi("vdi")
    log = boots(env, disk, "vbox", "384MiB")
    assert "firmware uefi" in log, log
    # The button ends the guest by itself, well before the kill.
    start = time.monotonic()
    env.daemon.isle("stop", "--timeout", "60", "vbox", timeout=90)
    assert time.monotonic() - start < 55, "the guest did not heed the power button"
    assert "button pressed" in env.daemon.isle("logs", "vbox").out
    env.daemon.isle("delete", "vbox")
