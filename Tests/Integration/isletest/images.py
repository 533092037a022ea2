"""Images for the tests, made here from what the machine has."""
import os
import pathlib
import shutil
import subprocess
import tarfile


def busybox_tar(folder):
    """A root filesystem with busybox and two users."""
    root = pathlib.Path(folder) / "busybox"
    for name in ("bin", "proc", "sys", "dev", "etc", "tmp", "root", "var", "home/bob"):
        (root / name).mkdir(parents=True, exist_ok=True)
    os.chmod(root / "tmp", 0o1777)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for name in subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True).stdout.split():
        if not (root / "bin" / name).exists():
            (root / "bin" / name).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nbob:x:1000:1000::/home/bob:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nbob:x:1000:\nextra:x:2000:bob\n")
    path = pathlib.Path(folder) / "busybox.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(root, arcname=".", filter=lambda m: (setattr(m, "uid", 0), setattr(m, "gid", 0), m)[2])
    return path


def wasm(folder):
    """A WASI program compiled from C; None without a compiler for it."""
    source = pathlib.Path(__file__).parent / "guest.c"
    target = pathlib.Path(folder) / "guest.wasm"
    for clang in ("/usr/bin/clang-14", "/usr/bin/clang", "clang"):
        if shutil.which(clang) and subprocess.run(
                [clang, "--target=wasm32-wasi", "-O1", "-o", target, source, "-I/usr/include/wasm32-wasi",
                 "-L/usr/lib/wasm32-wasi"], capture_output=True).returncode == 0:
            return target
    return None


def boot_disk(path, text):
    """A raw disk whose boot sector writes `text` to the first serial port and halts."""
    # cli; ds = 0; si = text; next: lodsb; end at 0; wait until the port takes a byte (0x3fd bit 5); out 0x3f8; next
    code = bytes.fromhex("fa31c08ed8be227cac84c0741288c4bafd03eca82074f888e0baf803eeebe9f4ebfd")
    sector = code + text.encode() + b"\0"
    sector = sector.ljust(510, b"\0") + b"\x55\xaa"
    pathlib.Path(path).write_bytes(sector.ljust(1 << 20, b"\0"))
    return path
