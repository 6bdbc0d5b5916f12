"""A test's own part of a Kubernetes cluster: a namespace, the documented account in it, and a wire that can be cut."""

from __future__ import annotations

import json
import re
import secrets
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from kubernetes import config
from kubernetes.client import ApiClient, Configuration

from autoscaling.kubernetes.api import Api, Refused

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "kubernetes.md"
NAMES = {"ServiceAccount": "serviceaccounts", "Role": "roles", "RoleBinding": "rolebindings"}


def documented() -> list[dict[str, Any]]:
    """The objects of the page's RBAC, as they stand there."""
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (block,) = [one for one in blocks if "kind: RoleBinding" in one and "name: parlance-autoscaler" in one]
    return list(yaml.safe_load_all(block))


def path_of(kind: str, namespace: str) -> str:
    """The collection of an object of the RBAC."""
    group = "/api/v1" if kind == "ServiceAccount" else "/apis/rbac.authorization.k8s.io/v1"
    return f"{group}/namespaces/{namespace}/{NAMES[kind]}"


def until(what: str, found: Callable[[], Any], within_s: float = 60, every_s: float = 0.2) -> Any:
    """The first answer that is true. Fails when there is none in time."""
    deadline = time.monotonic() + within_s
    while not (answer := found()):
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        time.sleep(every_s)
    return answer


class Namespace:
    """A namespace as an administrator sees it, with the documented account in it."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self._kubeconfig, self._folder = kubeconfig, folder
        settings = Configuration()
        config.load_kube_config(str(kubeconfig), client_configuration=settings)
        settings.retries = False
        self.name = f"parlance-test-{secrets.token_hex(4)}"
        self.admin = Api(ApiClient(settings), self.name, 30)
        self.server = settings.host
        head = {"name": self.name}
        self.admin.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": head})
        for one in documented():
            one["metadata"]["namespace"] = self.name
            for subject in one.get("subjects", ()):
                subject["namespace"] = self.name
            self.admin.create(path_of(one["kind"], self.name), one)

    def delete(self) -> None:
        with suppress(Refused):
            self.admin.call("DELETE", f"/api/v1/namespaces/{self.name}")

    def token(self) -> str:
        """Of the documented account, for an hour."""
        account = documented()[0]["metadata"]["name"]
        path = f"{path_of('ServiceAccount', self.name)}/{account}/token"
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
        return str(self.admin.create(path, asked)["status"]["token"])

    def as_account(self, server: str | None = None) -> Path:
        """A kubeconfig of the documented account; through `server`, where one is given, whose certificate is still the
        API server's."""
        raw = yaml.safe_load(self._kubeconfig.read_text(encoding="utf-8"))
        context = next(c["context"] for c in raw["contexts"] if c["name"] == raw["current-context"])
        cluster = next(c["cluster"] for c in raw["clusters"] if c["name"] == context["cluster"])
        if server is not None:
            cluster = {**cluster, "tls-server-name": urlsplit(cluster["server"]).hostname, "server": server}
        made = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": self.token()}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": self.name}}],
        }
        path = self._folder / f"kubeconfig-{secrets.token_hex(4)}"
        path.write_text(json.dumps(made), encoding="utf-8")
        path.chmod(0o600)
        return path

    def authority(self) -> bytes:
        """The certificate by which the API server is known."""
        assert self.admin._client.configuration.ssl_ca_cert
        return Path(self.admin._client.configuration.ssl_ca_cert).read_bytes()

    def api(self, server: str | None = None, timeout_s: float = 5) -> Api:
        """Calls as the documented account."""
        settings = Configuration()
        config.load_kube_config(str(self.as_account(server)), client_configuration=settings)
        settings.retries = False
        return Api(ApiClient(settings), self.name, timeout_s)

    def get(self, path: str) -> dict[str, Any]:
        return self.admin.get(path)

    def lease(self, name: str = "parlance-autoscaler") -> dict[str, Any]:
        """The Lease's spec; empty where there is none."""
        try:
            found = self.admin.get(f"/apis/coordination.k8s.io/v1/namespaces/{self.name}/leases/{name}")
        except Refused:
            return {}
        return dict(found["spec"])

    def events(self) -> list[dict[str, Any]]:
        """All events, oldest first."""
        items = self.admin.get(f"/apis/events.k8s.io/v1/namespaces/{self.name}/events")["items"]
        return sorted(items, key=lambda event: str(event.get("eventTime")))


class Wire:
    """A TCP proxy before a server. `cut` closes what is open and refuses what comes; `stall` takes it and is silent."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "", parts.port or 443)
        self._open: set[socket.socket] = set()
        self._stalled = threading.Event()
        self._listener: socket.socket | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.url = f"{parts.scheme}://127.0.0.1:{self._port}"
        self.mend()

    def cut(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def stall(self) -> None:
        self._stalled.set()

    def mend(self) -> None:
        self._stalled.clear()
        if self._listener is None:
            listener = socket.create_server(("127.0.0.1", self._port))
            self._listener = listener
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                here, _ = listener.accept()
                threading.Thread(target=self._pass, args=(here,), daemon=True).start()

    def _pass(self, here: socket.socket) -> None:
        with suppress(OSError), here, socket.create_connection(self._target, timeout=10) as there:
            there.settimeout(None)
            self._open |= {here, there}
            with selectors.DefaultSelector() as ready:
                ready.register(here, selectors.EVENT_READ, there)
                ready.register(there, selectors.EVENT_READ, here)
                while True:
                    for key, _ in ready.select():
                        if self._stalled.is_set():
                            time.sleep(0.2)
                            continue
                        data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                        if not data:
                            return
                        key.data.sendall(data)
