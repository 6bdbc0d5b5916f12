"""The chart's images on the kit's node, built from this checkout: the steps of deploy/images, where there is no Docker.

    python -m tests.support.images STATE      all four, into the cluster that runs from STATE

What the locks install is one layer, made once (the CPU engine's takes minutes and 5 GB) and kept by the node; this
checkout's own packages are a small layer above it, made again in seconds. The layers lie as the recipes lay them:
a virtual environment in /opt/parlance on Debian's Python 3.11.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "parlance"
RECIPES = ROOT / "deploy" / "images"
UV = ROOT / ".venv" / "bin" / "uv"
KIT = Path(os.environ.get("PARLANCE_CLUSTER_KIT", ROOT.parent / "shared" / "cluster"))
VENV = "/opt/parlance"
PACKAGES = ("serve", "autoscaling", "observability")
PATH = f"{VENV}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Of the layer with a lock's packages: another number makes it anew.
LAYOUT = "1"
# What vLLM's CPU build asks of the system: `apt-get install libnuma1` in the recipe.
NUMA = "libnuma.so.1"
SYSTEM = Path("/usr/lib/x86_64-linux-gnu")
USER = "1000:1000"


@dataclass(frozen=True)
class Recipe:
    """One Dockerfile's counterpart."""

    lock: str
    user: str
    entrypoint: tuple[str, ...]
    environment: tuple[str, ...] = ()
    unused: Path | None = None
    system: tuple[str, ...] = ()


GATEWAY = Recipe("gateway", "parlance", ("parlance",))
ENGINE = Recipe(
    "cpu",
    "ray",
    (),
    ("RAY_USAGE_STATS_ENABLED=0", "VLLM_NO_USAGE_STATS=1", "DO_NOT_TRACK=1"),
    RECIPES / "unused-on-cpu.txt",
    (NUMA,),
)


class Node:
    """The images of the kit's running node."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.folder = state / "parlance-images"
        self.folder.mkdir(exist_ok=True)
        socket = state / "run" / "containerd.sock"
        assert socket.exists(), f"no cluster of the kit runs from {state} (make cluster-up)"
        assert (KIT / "mkimage.py").exists(), f"no cluster kit in {KIT}: PARLANCE_CLUSTER_KIT says where it is"
        self._ctr = ["ctr", "-a", str(socket), "-n", "k8s.io", "images"]

    @property
    def python(self) -> Path:
        """Debian with Python 3.11, the base of all."""
        found = self.state / "images" / "python.tar"
        assert found.exists(), f"no {found}: KIT_STEPS=ray makes it (setup.sh {self.state} ray)"
        return found

    def has(self, name: str) -> bool:
        return bool(_run([*self._ctr, "ls", "-q", f"name=={name}"]).strip())

    def load(self, tar: Path) -> None:
        _run([*self._ctr, "import", str(tar)])

    def remove(self, names: Iterable[str]) -> None:
        for name in names:
            _run([*self._ctr, "rm", name])

    def names(self) -> list[str]:
        return _run([*self._ctr, "ls", "-q"]).split()


def build(state: Path, names: dict[str, str]) -> dict[str, float]:
    """Builds and loads `names` (image of the chart's values → its reference); seconds that each took."""
    node = Node(state)
    took = {}
    recipes = {"gateway": GATEWAY, "engine": ENGINE}
    for image, name in names.items():
        began = time.monotonic()
        if image == "prometheus":
            _prometheus(node, name)
        else:
            _application(node, recipes[image], name)
        took[image] = time.monotonic() - began
    return took


def names(*values: Path) -> dict[str, str]:
    """The images that the chart's values name, over which files of values are laid."""
    version = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["appVersion"]
    merged: dict[str, dict[str, str]] = {}
    for path in (CHART / "values.yaml", *values):
        for image, described in (yaml.safe_load(path.read_text(encoding="utf-8")).get("images") or {}).items():
            merged[image] = merged.get(image, {}) | described
    return {image: f"{one['repository']}:{one['tag'] or version}" for image, one in merged.items()}


def _application(node: Node, recipe: Recipe, name: str) -> None:
    base = _dependencies(node, recipe)
    source = _digest(_sources())
    stamp = node.folder / f"{recipe.lock}.json"
    made = {"base": base.name, "source": source, "name": name}
    if stamp.exists() and json.loads(stamp.read_text()) == made and node.has(name):
        return
    venv = _venv(node.folder / f"app-{recipe.lock}")
    wheel = _wheel(node.folder / "wheel")
    _uv("pip", "install", "--no-deps", "--compile-bytecode", "--python", str(venv / "bin" / "python"), str(wheel))
    _at_home(venv)
    home = f"/home/{recipe.user}"
    passwd = _passwd(node, recipe.user)
    tar = node.folder / f"app-{recipe.lock}.tar"
    command = ["--base", str(base), "--tree", f"{venv}:{VENV}", "--file", f"{passwd}:/etc/passwd:644"]
    command += ["--mkdir", f"{home}:1777", "--workdir", home, "--user", USER]
    for one in (f"PATH={PATH}", f"HOME={home}", "PYTHONUNBUFFERED=1", *recipe.environment):
        command += ["--env", one]
    if recipe.entrypoint:
        command += ["--entrypoint", json.dumps(recipe.entrypoint)]
    _mkimage(name, tar, command)
    node.load(tar)
    stamp.write_text(json.dumps(made))
    shutil.rmtree(venv)
    tar.unlink()


def _dependencies(node: Node, recipe: Recipe) -> Path:
    """A tar without layers of an image with what a lock installs: the node has the layers."""
    lock = ROOT / "requirements" / f"{recipe.lock}.txt"
    parts = [lock, node.python, *([recipe.unused] if recipe.unused else [])]
    key = _digest(parts, LAYOUT)[:12]
    name = f"localhost/parlance-{recipe.lock}:{key}"
    thin = node.folder / f"{recipe.lock}-{key}.tar"
    if thin.exists() and node.has(name):
        return thin
    venv = _venv(node.folder / f"deps-{recipe.lock}")
    python = str(venv / "bin" / "python")
    _uv("pip", "sync", "--compile-bytecode", "--require-hashes", "--python", python, str(lock))
    (site,) = (venv / "lib").glob("python3.*/site-packages")
    for unused in recipe.unused.read_text().split() if recipe.unused else ():
        (site / unused).unlink()
    _at_home(venv)
    whole = node.folder / f"deps-{recipe.lock}.tar"
    command = ["--base", str(node.python), "--tree", f"{venv}:{VENV}"]
    for library in recipe.system:
        found = SYSTEM / library
        assert found.exists(), f"no {found}: apt-get install {library.split('.so')[0]}1"
        command += ["--file", f"{found}:{found}:644"]
    _mkimage(name, whole, command)
    node.load(whole)
    _without_layers(whole, thin)
    shutil.rmtree(venv)
    whole.unlink()
    older = [f for f in node.folder.glob(f"{recipe.lock}-*.tar") if f != thin]
    node.remove(f"localhost/parlance-{recipe.lock}:{file.stem.rpartition('-')[2]}" for file in older)
    for file in older:
        file.unlink()
    return thin


def _prometheus(node: Node, name: str) -> None:
    """Debian's program under the chart's name, started as the official image starts its own."""
    program = shutil.which("prometheus")
    assert program, "prometheus is not on the PATH: apt-get install prometheus"
    if node.has(name):
        return
    tar = node.folder / "prometheus.tar"
    # Debian's /bin is a link to /usr/bin: the official image's /bin/prometheus is found there too.
    command = ["--base", str(node.python), "--file", f"{program}:/usr/bin/prometheus:755", "--user", "65534:65534"]
    command += ["--mkdir", "/prometheus:1777", "--workdir", "/prometheus", "--entrypoint", '["/bin/prometheus"]']
    _mkimage(name, tar, command)
    node.load(tar)
    tar.unlink()


def _venv(path: Path) -> Path:
    """An empty virtual environment that may be moved."""
    assert sys.version_info[:2] == (3, 11), f"the kit's image has Python 3.11, this is {sys.version.split()[0]}"
    shutil.rmtree(path, ignore_errors=True)
    _uv("venv", "--relocatable", "--python", sys.executable, str(path))
    return path


def _at_home(venv: Path) -> None:
    """Makes it the image's: Python is Debian's there."""
    python = venv / "bin" / "python"
    python.unlink()
    python.symlink_to("/usr/bin/python3")
    settings = venv / "pyvenv.cfg"
    lines = [line for line in settings.read_text().splitlines() if not line.startswith(("home", "version_info"))]
    settings.write_text("\n".join(["home = /usr/bin", *lines, ""]))


def _wheel(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    _uv("build", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", str(folder), str(ROOT))
    (wheel,) = folder.glob("*.whl")
    return wheel


def _passwd(node: Node, user: str) -> Path:
    """Debian's users and the image's own: programs ask who they are."""
    path = node.folder / f"passwd-{user}"
    with tarfile.open(node.python) as image:
        index = json.loads(_member(image, "index.json"))
        manifest = json.loads(_blob(image, index["manifests"][0]))
        for layer in manifest["layers"]:
            content = image.extractfile(f"blobs/sha256/{layer['digest'].partition(':')[2]}")
            with tarfile.open(fileobj=content) as files:
                if "./etc/passwd" in files.getnames():
                    known = _member(files, "./etc/passwd").decode()
                    path.write_text(f"{known}{user}:x:1000:1000::/home/{user}:/usr/sbin/nologin\n")
                    return path
    raise AssertionError(f"no /etc/passwd in {node.python}")


def _without_layers(whole: Path, thin: Path) -> None:
    """What mkimage reads of a base: index, manifest and settings."""
    with tarfile.open(whole) as image, tarfile.open(thin, "w") as out:
        index = json.loads(_member(image, "index.json"))
        manifest = json.loads(_blob(image, index["manifests"][0]))
        kept = [index["manifests"][0]["digest"], manifest["config"]["digest"]]
        for name in ("oci-layout", "index.json", *(f"blobs/sha256/{one.partition(':')[2]}" for one in kept)):
            member = image.getmember(name)
            out.addfile(member, image.extractfile(member))


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    content = tar.extractfile(name)
    assert content is not None, f"{name} is no file"
    return content.read()


def _blob(tar: tarfile.TarFile, descriptor: dict[str, Any]) -> bytes:
    return _member(tar, f"blobs/sha256/{descriptor['digest'].partition(':')[2]}")


def _sources() -> list[Path]:
    """Every file of the wheel."""
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()]
    return sorted([ROOT / "pyproject.toml", *(path for path in files if "__pycache__" not in path.parts)])


def _digest(files: Sequence[Path], more: str = "") -> str:
    whole = hashlib.sha256(more.encode())
    for path in files:
        whole.update(str(path.name).encode())
        with path.open("rb") as content:
            whole.update(hashlib.file_digest(content, "sha256").digest())
    return whole.hexdigest()


def _mkimage(name: str, tar: Path, command: list[str]) -> None:
    _run([sys.executable, str(KIT / "mkimage.py"), "--name", name, "--out", str(tar), *command])


def _uv(*command: str) -> None:
    _run([str(UV), *command, "-q"])


def _run(command: list[str]) -> str:
    """The output; at a failure, the words with which it failed. Builds stand back for what serves."""
    answer = subprocess.run(["nice", "-n", "10", *command], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, f"{' '.join(command[:6])} …: {answer.stderr.strip()[-2000:]}"
    return answer.stdout


if __name__ == "__main__":
    for image, seconds in build(Path(sys.argv[1]).resolve(), names(CHART / "values-cpu-demo.yaml")).items():
        print(f"{image}: {seconds:.0f} s")
