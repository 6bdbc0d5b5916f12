"""An API server with its etcd and nothing else, as controller tests use it: no node, no controller, no CRD."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from ssl import CERT_NONE, create_default_context

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.programs import ROOT
from tests.support.stack import free_ports

PROGRAMS = "etcd", "kube-apiserver"
START_S = 90


def at() -> Path | None:
    """The folder that holds both programs: what setup-envtest fills, the PATH's, or the unpacked cluster kit's."""
    folders = [Path(os.environ["KUBEBUILDER_ASSETS"])] if "KUBEBUILDER_ASSETS" in os.environ else []
    folders += [Path(found).parent] if (found := shutil.which(PROGRAMS[0])) else []
    folders.append(Path(os.environ.get("KIT_STATE", ROOT / ".state" / "cluster")) / "bin")
    return next((one for one in folders if all(os.access(one / name, os.X_OK) for name in PROGRAMS)), None)


class ApiServer:
    """Runs on loopback until `stop`. `kubeconfig`: an administrator's."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.kubeconfig, self._folder = folder / "kubeconfig", folder
        client, peer, port = free_ports(3)
        token, url = secrets.token_hex(16), f"https://127.0.0.1:{port}"
        (folder / "tokens").write_text(f"{token},admin,admin,system:masters\n", encoding="utf-8")
        (folder / "tokens").chmod(0o600)
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / "accounts.key").write_bytes(pem)
        self._write_kubeconfig(url, token)
        self._processes = [
            self._start(
                programs / "etcd",
                f"--data-dir={folder / 'etcd'}",
                "--unsafe-no-fsync",
                f"--listen-client-urls=http://127.0.0.1:{client}",
                f"--advertise-client-urls=http://127.0.0.1:{client}",
                f"--listen-peer-urls=http://127.0.0.1:{peer}",
                "--log-level=warn",
            ),
            self._start(
                programs / "kube-apiserver",
                f"--etcd-servers=http://127.0.0.1:{client}",
                "--bind-address=127.0.0.1",
                f"--secure-port={port}",
                f"--cert-dir={folder / 'certificates'}",
                f"--token-auth-file={folder / 'tokens'}",
                "--authorization-mode=RBAC",
                # Needs a controller to make each namespace's account.
                "--disable-admission-plugins=ServiceAccount",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={folder / 'accounts.key'}",
                f"--service-account-signing-key-file={folder / 'accounts.key'}",
                "--service-cluster-ip-range=10.0.0.0/24",
                "--endpoint-reconciler-type=none",
            ),
        ]
        try:
            self._await(f"{url}/readyz", token)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()

    def _start(self, program: Path, *args: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{program.name}.log").open("wb") as log:
            return subprocess.Popen([str(program), *args], stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def _write_kubeconfig(self, url: str, token: str) -> None:
        made = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "bare",
            "clusters": [{"name": "bare", "cluster": {"server": url, "insecure-skip-tls-verify": True}}],
            "users": [{"name": "bare", "user": {"token": token}}],
            "contexts": [{"name": "bare", "context": {"cluster": "bare", "user": "bare"}}],
        }
        self.kubeconfig.write_text(json.dumps(made), encoding="utf-8")
        self.kubeconfig.chmod(0o600)

    def _await(self, url: str, token: str) -> None:
        trusting = create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, CERT_NONE
        asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            for process in self._processes:
                if process.poll() is not None:
                    raise RuntimeError(f"{process.args} ended: {self._logs()}")
            try:
                with urllib.request.urlopen(asked, timeout=5, context=trusting) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.2)
        raise RuntimeError(f"no API server within {START_S} s: {self._logs()}")

    def _logs(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-2000:] for path in sorted(self._folder.glob("*.log")))
