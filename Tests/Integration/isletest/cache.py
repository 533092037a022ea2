"""What was fetched from the package mirror, kept between runs in out/test."""
import json
import pathlib
import shutil
import subprocess
import tempfile
import time

FOLDER = pathlib.Path(__file__).resolve().parents[3] / "out/test/fetched"
# Suites and kernels get security updates: what is older is fetched anew.
SECONDS = 3 * 86400


def fresh(path):
    """Whether it is there and not too old."""
    return path.exists() and time.time() - path.stat().st_mtime < SECONDS


def put(source, target, copy):
    """Copies `source` to `target` as a whole or not at all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.new")
    if part.is_dir():
        shutil.rmtree(part)
    copy(source, part)
    if target.is_dir():
        shutil.rmtree(target)
    part.rename(target)
    target.touch()


def base(daemon, name):
    """Gives the daemon the bootstrapped image; the error text if it cannot be had."""
    archive = FOLDER / (name.replace("/", "-") + ".oci.tar")
    if fresh(archive):
        daemon.isle("image", "import", archive, timeout=300)
        return None
    result = daemon.isle("image", "build-base", name, check=False, timeout=1200)
    if result.code != 0:
        return f"`isle image build-base {name}` failed: {result.err.strip()[-200:]}"
    put(name, archive, lambda image, path: daemon.isle("image", "save", image, "-o", path, timeout=300))
    return None


def kernel(daemon):
    """Gives the daemon a kernel for direct boot; the error text if it cannot be had."""
    kept = FOLDER / "kernels"
    store = daemon.state / "kernels"
    if fresh(kept):
        shutil.copytree(kept, store, symlinks=True, dirs_exist_ok=True)
        return None
    result = daemon.isle("kernel", "fetch", check=False, timeout=1200)
    if result.code != 0:
        return f"`isle kernel fetch` failed: {result.err.strip()[-200:]}"
    put(store, kept, lambda source, path: shutil.copytree(source, path, symlinks=True))
    return None


def bootable_kernel(kernels):
    """A folder with `vmlinuz`, for boot loaders, and the modules of the power button; None if it cannot be had.

    `kernels`: a folder of `isle kernel fetch`, which names the package.
    """
    kept = FOLDER / "bootable"
    if fresh(kept):
        return kept
    package = json.loads(next(pathlib.Path(kernels).glob("*/kernel.json")).read_text())["package"]
    with tempfile.TemporaryDirectory() as work:
        fetched = subprocess.run(["apt-get", "-o", "APT::Sandbox::User=root", "-q", "download", package], cwd=work,
                                 capture_output=True)
        archives = list(pathlib.Path(work).glob("*.deb"))
        if fetched.returncode != 0 or not archives:
            return None
        subprocess.run(["dpkg-deb", "-x", archives[0], f"{work}/x"], check=True)
        root = pathlib.Path(work) / "x"
        wanted = [next(root.glob("boot/vmlinuz-*")), *root.rglob("button.ko"), *root.rglob("evdev.ko")]

        def copy(_, part):
            part.mkdir()
            for file in wanted:
                shutil.copy(file, part / ("vmlinuz" if file.name.startswith("vmlinuz") else file.name))

        put(None, kept, copy)
    return kept
