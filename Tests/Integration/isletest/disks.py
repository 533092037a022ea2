"""Bootable Debian disks, such as users bring along: a real boot loader, systemd, cloud-init, qemu-guest-agent."""
import os
import pathlib
import shutil
import subprocess

MEBIBYTE = 1 << 20
PACKAGES = ("linux-image-cloud-amd64,systemd-sysv,systemd-resolved,libnss-resolve,cloud-init,qemu-guest-agent,udev,dbus,"
            "iproute2,initramfs-tools,zstd,netbase,busybox-static")
GRUB = """serial --unit=0 --speed=115200
terminal_input serial console
terminal_output serial console
linux /vmlinuz root=LABEL=debian-root ro console=ttyS0 quiet
initrd /initrd.img
boot
"""
FSTAB = "LABEL=debian-root / ext4 defaults 0 1\n"
TOOLS = {"mmdebstrap": "mmdebstrap", "grub-mkimage": "grub-common", "mcopy": "mtools", "mkfs.vfat": "dosfstools",
         "sfdisk": "fdisk", "mke2fs": "e2fsprogs", "qemu-img": "qemu-utils"}
FILES = {"/usr/lib/grub/i386-pc/boot.img": "grub-pc-bin", "/usr/lib/grub/x86_64-efi/kernel.img": "grub-efi-amd64-bin"}


def missing():
    """What is not here to make the disks with; empty if all is."""
    packages = [package for tool, package in TOOLS.items() if not shutil.which(tool)]
    return packages + [package for path, package in FILES.items() if not os.path.exists(path)]


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(str(word) for word in command)}: {done.stderr[-800:]}")
    return done.stdout


def partition(disk, table, parts, size):
    with open(disk, "wb") as file:
        file.truncate((size + MEBIBYTE - 1) // MEBIBYTE * MEBIBYTE)
    run("sfdisk", "-q", disk, input=table)
    for sector, source in parts:
        run("dd", f"if={source}", f"of={disk}", "bs=1M", f"seek={sector // 2048}", "conv=notrunc,sparse")


TINY_INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /bin
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
[ -d /sys/firmware/efi ] && echo "firmware uefi" || echo "firmware bios"
for module in /*.ko; do insmod $module; done
[ -e /dev/tpm0 ] && echo "tpm $(cat /sys/class/tpm/tpm0/tpm_version_major)"
# The power button is one of the input devices.
for input in /dev/input/event*; do
  ( dd if=$input bs=24 count=1 >/dev/null 2>&1 && echo "button pressed" && sync && poweroff -f ) &
done
echo "tiny is up"
while :; do setsid cttyhack sh; done
"""
TINY_GRUB = """serial --unit=0 --speed=115200
terminal_output serial
linux /vmlinuz console=ttyS0 quiet
initrd /initrd.img
boot
"""


class TinyDisks:
    """Disks with GRUB, the distribution's kernel and busybox: a boot takes seconds even without KVM."""

    def __init__(self, folder, kernel):
        """`kernel`: a folder with `vmlinuz` and modules."""
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(mode=0o700)
        (self.folder / "grub.cfg").write_text(TINY_GRUB)
        self.kernel = kernel / "vmlinuz"
        self.modules = sorted(kernel.glob("*.ko"))
        self.initrd()
        self.files = self.filesystem()

    def initrd(self):
        tree = self.folder / "tree"
        (tree / "bin").mkdir(parents=True)
        shutil.copy("/bin/busybox", tree / "bin/busybox")
        (tree / "init").write_text(TINY_INIT)
        os.chmod(tree / "init", 0o755)
        names = ["bin", "bin/busybox", "init"]
        for module in self.modules:
            shutil.copy(module, tree / module.name)
            names.append(module.name)
        with open(self.folder / "initrd.img", "wb") as file:
            subprocess.run(["/bin/busybox", "cpio", "-o", "-H", "newc"], cwd=tree, stdout=file, stderr=subprocess.DEVNULL,
                           check=True, input="".join(name + "\n" for name in names).encode())

    def filesystem(self):
        """FAT: readable by GRUB, writable without a mount."""
        path = self.folder / "boot.fat"
        size = self.kernel.stat().st_size + (self.folder / "initrd.img").stat().st_size + 4 * MEBIBYTE
        with open(path, "wb") as file:
            file.truncate((size + MEBIBYTE - 1) // MEBIBYTE * MEBIBYTE)
        run("mkfs.vfat", "-n", "TINY", path)
        run("mmd", "-i", path, "::/boot", "::/boot/grub", "::/EFI", "::/EFI/BOOT")
        run("mcopy", "-i", path, self.kernel, "::/vmlinuz")
        run("mcopy", "-i", path, self.folder / "initrd.img", "::/initrd.img")
        run("mcopy", "-i", path, self.folder / "grub.cfg", "::/boot/grub/grub.cfg")
        return path

    def bios(self, form):
        core = self.folder / "core.img"
        run("grub-mkimage", "-O", "i386-pc", "-o", core, "-p", "(hd0,msdos1)/boot/grub", "biosdisk", "part_msdos", "fat",
            "linux", "normal", "configfile", "serial", "terminal", "boot")
        disk = self.folder / "bios.raw"
        partition(disk, "label: dos\nstart=2048, type=c, bootable\n", [(2048, self.files)], self.files.stat().st_size + 2 * MEBIBYTE)
        with open(disk, "r+b") as file:
            file.write(pathlib.Path("/usr/lib/grub/i386-pc/boot.img").read_bytes()[:440])
            file.seek(512)
            file.write(core.read_bytes())
        return self.convert(disk, form)

    def uefi(self, form):
        early = self.folder / "early.cfg"
        early.write_text("search --no-floppy --label TINY --set=root\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n")
        loader = self.folder / "BOOTX64.EFI"
        run("grub-mkimage", "-O", "x86_64-efi", "-o", loader, "-p", "/boot/grub", "-c", early, "part_gpt", "fat", "linux",
            "normal", "configfile", "search", "search_label", "serial", "terminal", "boot")
        system = self.folder / "esp.fat"
        shutil.copy(self.files, system)
        run("mcopy", "-i", system, loader, "::/EFI/BOOT/BOOTX64.EFI")
        disk = self.folder / "uefi.raw"
        partition(disk, "label: gpt\nstart=2048, type=U\n", [(2048, system)], system.stat().st_size + 3 * MEBIBYTE)
        return self.convert(disk, form)

    def convert(self, disk, form):
        target = disk.with_suffix("." + form)
        run("qemu-img", "convert", "-f", "raw", "-O", form, disk, target)
        return target


class DebianDisks:
    """`bios` and `uefi`: raw disks of the same system, made once in `cache` (minutes) and kept there."""

    def __init__(self, cache):
        self.cache = pathlib.Path(cache)
        self.bios = self.cache / "debian-bios.raw"
        self.uefi = self.cache / "debian-uefi.raw"

    def make(self):
        if self.bios.exists() and self.uefi.exists():
            return self
        self.cache.mkdir(parents=True, exist_ok=True)
        work = self.cache / "debian-work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        try:
            filesystem = self.filesystem(work)
            self.assemble_bios(work, filesystem)
            self.assemble_uefi(work, filesystem)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return self

    def filesystem(self, work):
        tree = work / "tree"
        run("mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", "--aptopt=APT::Install-Recommends \"false\"",
            "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*", "--customize-hook=echo root:isle | chroot \"$1\" chpasswd",
            # A guest under QEMU's translator unpacks each needless megabyte slowly.
            "--essential-hook=mkdir -p \"$1/etc/initramfs-tools/conf.d\" && echo MODULES=list > \"$1/etc/initramfs-tools/conf.d/modules\"",
            "--customize-hook=printf 'virtio_pci\\nvirtio_blk\\next4\\n' > \"$1/etc/initramfs-tools/modules\"",
            "--customize-hook=chroot \"$1\" update-initramfs -u",
            "--customize-hook=chroot \"$1\" systemctl enable systemd-networkd.service", "--customize-hook=rm -rf \"$1\"/var/cache/apt/* \"$1\"/var/lib/apt/lists/*",
            "bookworm", tree)
        (tree / "etc/fstab").write_text(FSTAB)
        # As Debian's own cloud images have no locales either.
        (tree / "etc/cloud/cloud.cfg.d/90-locale.cfg").write_text("locale: C.UTF-8\n")
        (tree / "boot/grub").mkdir(exist_ok=True)
        (tree / "boot/grub/grub.cfg").write_text(GRUB)
        # The password login of root on the serial console is the test's own; nothing listens on the network.
        path = work / "root.ext4"
        run("mke2fs", "-q", "-t", "ext4", "-L", "debian-root", "-d", tree, path, "1100M")
        return path

    def assemble_bios(self, work, filesystem):
        """An MBR with GRUB's boot sector; its core lies in the gap before the first partition."""
        core = work / "core.img"
        run("grub-mkimage", "-O", "i386-pc", "-o", core, "-p", "(hd0,msdos1)/boot/grub", "biosdisk", "part_msdos", "ext2",
            "linux", "normal", "configfile", "serial", "terminal", "boot")
        disk = work / "bios.raw"
        partition(disk, "label: dos\nstart=2048, type=83, bootable\n", [(2048, filesystem)], filesystem.stat().st_size + 2 * MEBIBYTE)
        sector = pathlib.Path("/usr/lib/grub/i386-pc/boot.img").read_bytes()
        with open(disk, "r+b") as file:
            file.write(sector[:440])
            file.seek(512)
            file.write(core.read_bytes())
        disk.rename(self.bios)

    def assemble_uefi(self, work, filesystem):
        """A GPT with an EFI system partition that holds GRUB as the fallback loader."""
        config = work / "early.cfg"
        config.write_text("search --no-floppy --label debian-root --set=root\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n")
        loader = work / "BOOTX64.EFI"
        run("grub-mkimage", "-O", "x86_64-efi", "-o", loader, "-p", "/boot/grub", "-c", config, "part_gpt", "ext2", "fat",
            "linux", "normal", "configfile", "search", "search_label", "serial", "terminal", "boot", "efi_gop")
        system = work / "esp.fat"
        with open(system, "wb") as file:
            file.truncate(48 * MEBIBYTE)
        run("mkfs.vfat", "-F", "32", system)
        run("mmd", "-i", system, "::/EFI", "::/EFI/BOOT")
        run("mcopy", "-i", system, loader, "::/EFI/BOOT/BOOTX64.EFI")
        disk = work / "uefi.raw"
        second = 2048 + 48 * 2048
        partition(disk, "label: gpt\nstart=2048, size=98304, type=U\n" f"start={second}, type=L\n",
                       [(2048, system), (second, filesystem)], filesystem.stat().st_size + (48 + 3) * MEBIBYTE)
        disk.rename(self.uefi)
