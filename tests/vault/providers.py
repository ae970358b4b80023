"""Real key providers, started by the tests: OpenBao, SoftHSM 2, and moto's KMS."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

PIN = "4711-0815"
"""The user PIN of every token."""

_MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
)
_BESIDE = Path(sys.executable).parent


@dataclass
class Bao:
    """An OpenBao with raft storage, which may be stopped and started: `root` is its first token."""

    directory: Path
    port: int
    root: str = ""
    _unseal: str = ""
    _process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it; it is sealed until `unseal`."""
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_BESIDE / "bao", "server", f"-config={self.directory}/config.hcl"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        self._until(lambda: self._get("/v1/sys/seal-status").status_code == 200)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def unseal(self) -> None:
        """Opens it with the key it was made with, and waits until it leads."""
        if not self._unseal:
            made = self.ask("PUT", "/v1/sys/init", {"secret_shares": 1, "secret_threshold": 1})
            self._unseal, self.root = made["keys"][0], made["root_token"]
        self.ask("PUT", "/v1/sys/unseal", {"key": self._unseal})
        self._until(lambda: self._get("/v1/sys/health").status_code == 200)

    def seal(self) -> None:
        self.ask("PUT", "/v1/sys/seal")

    def ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Its answer to the root token."""
        answer = httpx2.request(
            method,
            f"{self.address}{path}",
            json=body,
            headers={"X-Vault-Token": self.root} if self.root else {},
            trust_env=False,
            timeout=60.0,
        )
        assert answer.status_code < 300, answer.text
        found: dict[str, Any] = answer.json() if answer.content else {}
        return found

    def token(self, *rights: str, key: str = "landbridge") -> str:
        """A token that may do this with the key: encrypt, decrypt."""
        rules = {f"transit/{right}/{key}": {"capabilities": ["update"]} for right in rights}
        name = "-".join(["may", *rights, key])
        self.ask("PUT", f"/v1/sys/policies/acl/{name}", {"policy": json.dumps({"path": rules})})
        made = self.ask("POST", "/v1/auth/token/create", {"policies": [name], "ttl": "1h"})
        token: str = made["auth"]["client_token"]
        return token

    def _get(self, path: str) -> httpx2.Response:
        return httpx2.get(f"{self.address}{path}", trust_env=False, timeout=60.0)

    def _until(self, came: Any) -> None:
        for _ in range(600):
            try:
                if came():
                    return
            except httpx2.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError((self.directory / "log").read_text())


@contextmanager
def openbao(directory: Path) -> Iterator[Bao]:
    """An OpenBao with the transit engine and a key called landbridge, unsealed."""
    port, peers = _free_port(), _free_port()
    (directory / "raft").mkdir(parents=True)
    (directory / "config.hcl").write_text(
        f"""
storage "raft" {{
  path = "{directory}/raft"
  node_id = "one"
}}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  cluster_address = "127.0.0.1:{peers}"
  tls_disable = true
}}
api_addr = "http://127.0.0.1:{port}"
cluster_addr = "http://127.0.0.1:{peers}"
"""
    )
    bao = Bao(directory=directory, port=port)
    bao.start()
    try:
        bao.unseal()
        bao.ask("POST", "/v1/sys/mounts/transit", {"type": "transit"})
        bao.ask("POST", "/v1/transit/keys/landbridge", {"type": "aes256-gcm96"})
        yield bao
    finally:
        bao.stop()


@dataclass
class SoftHsm:
    """SoftHSM 2 with a directory of tokens of its own."""

    module: Path
    directory: Path
    tokens: list[str] = field(default_factory=list)

    def token(self, label: str, *, keys: tuple[str, ...] = ("landbridge",)) -> str:
        """A new token with these AES-256 keys, which cannot be taken out of it."""
        self.add_token(label)
        self.add_keys(label, *keys)
        return label

    def add_token(self, label: str) -> None:
        """A new token without keys."""
        subprocess.run(
            [
                *("softhsm2-util", "--init-token", "--free", "--label", label),
                *("--so-pin", "12345678", "--pin", PIN),
            ],
            check=True,
            capture_output=True,
        )
        self.tokens.append(label)

    def add_keys(self, label: str, *keys: str, extractable: bool = False) -> None:
        """Makes AES-256 keys in a token."""
        import pkcs11

        pkcs11.lib(str(self.module)).reinitialize()
        with (
            pkcs11.lib(str(self.module))
            .get_token(token_label=label)
            .open(rw=True, user_pin=PIN) as session
        ):
            for key in keys:
                session.generate_key(
                    pkcs11.KeyType.AES,
                    256,
                    label=key,
                    store=True,
                    template={
                        pkcs11.Attribute.EXTRACTABLE: extractable,
                        pkcs11.Attribute.SENSITIVE: not extractable,
                    },
                )

    def remove(self, label: str) -> None:
        """Takes a token away with everything in it."""
        subprocess.run(
            ["softhsm2-util", "--delete-token", "--token", label], check=True, capture_output=True
        )


@contextmanager
def softhsm(directory: Path) -> Iterator[SoftHsm]:
    """A SoftHSM for this process. Skips when it is missing."""
    module = next((Path(each) for each in _MODULES if Path(each).exists()), None)
    if module is None or shutil.which("softhsm2-util") is None:
        pytest.skip("SoftHSM 2 is not installed: apt-get install softhsm2")
    (directory / "tokens").mkdir(parents=True)
    config = directory / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {directory}/tokens\nlog.level = ERROR\n")
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(config)
    try:
        yield SoftHsm(module=module, directory=directory)
    finally:
        if before is None:
            del os.environ["SOFTHSM2_CONF"]
        else:
            os.environ["SOFTHSM2_CONF"] = before


@contextmanager
def moto() -> Iterator[str]:
    """The address of moto's server, which is KMS among others."""
    port = _free_port()
    process = subprocess.Popen(
        [_BESIDE / "moto_server", "-H", "127.0.0.1", "-p", str(port)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(600):
            try:
                httpx2.get(f"http://127.0.0.1:{port}/moto-api/", trust_env=False)
                break
            except httpx2.TransportError:
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def kms_key(endpoint: str) -> str:
    """A new key of a KMS: its ARN."""
    from botocore.session import Session

    client = Session().create_client("kms", region_name="eu-central-1", endpoint_url=endpoint)
    try:
        arn: str = client.create_key()["KeyMetadata"]["Arn"]
    finally:
        client.close()
    return arn


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
