"""Images for the tests, made here from what the machine has."""
import hashlib
import io
import json
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


def image_with_volume(folder):
    """A docker archive of busybox whose image names the volume /data, with a file of another user in it."""
    layer = io.BytesIO()
    with tarfile.open(busybox_tar(folder)) as base, tarfile.open(fileobj=layer, mode="w") as tar:
        for member in base:
            tar.addfile(member, base.extractfile(member) if member.isfile() else None)
        data = tarfile.TarInfo("data")
        data.type, data.mode, data.uid = tarfile.DIRTYPE, 0o750, 1000
        tar.addfile(data)
        seed = tarfile.TarInfo("data/seed")
        seed.size, seed.mode, seed.uid = 5, 0o640, 1000
        tar.addfile(seed, io.BytesIO(b"seed\n"))
    config = json.dumps({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"], "Volumes": {"/data": {}}},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer.getvalue()).hexdigest()]}}).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [], "Layers": ["layer.tar"]}]).encode()
    path = pathlib.Path(folder) / "with-volume.tar"
    with tarfile.open(path, "w") as tar:
        for name, content in (("config.json", config), ("layer.tar", layer.getvalue()), ("manifest.json", manifest)):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
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
