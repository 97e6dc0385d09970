"""TLS on the endpoint: the certificate comes, is replaced, breaks and comes back, and no request fails for it."""

import asyncio
import os
import ssl
from pathlib import Path

import aiohttp
import grpc
import pytest

from router.harness import V1, Bench, Router, eventually
from router.load import steady, until
from router.test_grpc import ask, model
from sluice_operator.routing.base import Doors, Traffic
from support.tls import certificate, trusting

HOST = "m.shop.svc"
BOTH = Traffic("shop", "m", {V1: 100}, (V1,), doors=Doors(http=True, https=True))
HTTPS = Traffic("shop", "m", {V1: 100}, (V1,), doors=Doors(http=False, https=True))


class Mounted:
    """The folder of a Secret, swapped as the kubelet does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        folder.mkdir()

    def swap(self, files: dict[str, bytes]) -> None:
        self.count += 1
        data = self.folder / f"..{self.count}"
        data.mkdir()
        for name, content in files.items():
            (data / name).write_bytes(content)
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")
        (self.folder / "..data_tmp").symlink_to(data.name)
        os.replace(self.folder / "..data_tmp", self.folder / "..data")


@pytest.fixture
def mounted(tmp_path: Path) -> Mounted:
    return Mounted(tmp_path.parent / f"{tmp_path.name}-tls")


async def served(router: Router, files: dict[str, bytes]) -> bool:
    """Whether TLS is spoken with this certificate."""
    try:
        _, writer = await asyncio.open_connection(
            "127.0.0.1", router.layout.tls_port, ssl=trusting(files), server_hostname=HOST
        )
    except (ssl.SSLError, ConnectionError):
        return False
    writer.close()
    return True


async def test_a_certificate_is_replaced_without_a_failed_request_and_a_broken_one_is_not_taken(
    bench: Bench, mounted: Mounted, tmp_path: Path
) -> None:
    old, new, newest = (certificate(tmp_path.parent, HOST) for _ in range(3))
    mounted.swap(old)
    router = await bench.router(BOTH, {V1: (await bench.upstream(),)})
    await router.apply(BOTH)
    async with steady(router) as answers:
        assert await served(router, old)
        mounted.swap(new)
        await eventually(lambda: served(router, new), "the new certificate")
        assert not await served(router, old)
        mounted.swap({"tls.crt": b"broken", "tls.key": b"broken"})
        await eventually(lambda: refused(router, 1), "a refusal")
        mounted.swap({"tls.crt": old["tls.crt"], "tls.key": new["tls.key"]})
        await eventually(lambda: refused(router, 2), "a refusal of a key that does not fit")
        assert await served(router, new)
        mounted.swap(newest)
        await eventually(lambda: served(router, newest), "the newest certificate")
        await until(answers, 50)
    assert answers.failed() == {}


async def refused(router: Router, times: int) -> bool:
    seen = await router.observe()
    return seen.certificate is not None and seen.certificate.refused == times


async def test_a_secret_that_comes_later_is_taken_and_http_does_not_wait_for_it(
    bench: Bench, mounted: Mounted, tmp_path: Path
) -> None:
    router = await bench.router(BOTH, {V1: (await bench.upstream(),)})
    await router.apply(BOTH)
    async with bench.http.get(router.url()) as response:
        assert response.status == 200
    assert (await router.observe()).certificate is None
    files = certificate(tmp_path.parent, HOST, days=30)
    assert not await served(router, files)
    mounted.swap(files)
    await eventually(lambda: served(router, files), "the certificate")
    assert (await router.observe()).certificate is not None


async def test_a_router_of_before_that_has_no_such_folder_serves_on(bench: Bench) -> None:
    router = await bench.router(BOTH, {V1: (await bench.upstream(),)})
    await router.apply(BOTH)
    async with bench.http.get(router.url()) as response:
        assert response.status == 200


async def test_without_http_only_tls_answers(bench: Bench, mounted: Mounted, tmp_path: Path) -> None:
    files = certificate(tmp_path.parent, HOST)
    mounted.swap(files)
    router = await bench.router(HTTPS, {V1: (await bench.upstream(),)})
    await router.apply(HTTPS)
    with pytest.raises(aiohttp.ClientConnectionError):
        await bench.http.get(router.url())
    url = f"https://127.0.0.1:{router.layout.tls_port}/v2/models/m"
    async with bench.http.get(url, ssl=trusting(files), server_hostname=HOST) as response:
        assert response.status == 200
        assert response.headers["x-sluice-revision"] == V1


async def test_grpc_is_spoken_over_tls(bench: Bench, mounted: Mounted, tmp_path: Path) -> None:
    files = certificate(tmp_path.parent, HOST)
    mounted.swap(files)
    async with model(tmp_path) as one:
        members = {V1: (("127.0.0.1", one.grpc_port or 0),)}
        router = await bench.router(HTTPS, {V1: (await bench.upstream(),)}, grpc_members=members)
        await router.apply(HTTPS)
        credentials = grpc.ssl_channel_credentials(files["tls.crt"])
        options = [("grpc.ssl_target_name_override", HOST)]
        async with grpc.aio.secure_channel(f"127.0.0.1:{router.layout.tls_port}", credentials, options) as channel:
            answer = await ask(channel)
    assert answer.model_name == "shop"


async def test_old_versions_of_tls_are_refused(bench: Bench, mounted: Mounted, tmp_path: Path) -> None:
    files = certificate(tmp_path.parent, HOST)
    mounted.swap(files)
    router = await bench.router(BOTH, {V1: (await bench.upstream(),)})
    await router.apply(BOTH)
    command = ["openssl", "s_client", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", "-connect"]
    asked = await asyncio.create_subprocess_exec(
        *command,
        f"127.0.0.1:{router.layout.tls_port}",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await asked.communicate()
    assert asked.returncode != 0
    assert b"protocol version" in said
