"""At least 200,000 hostile requests: no error of the runtime's own, no hang, no growth."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from runtime.harness import config_for, package_of, serving
from runtime.models import every_datatype, trained
from runtime.raw import BODY
from runtime.shops import ROW, shop_package, tensors
from support.feature_store import feature_store_aside
from support.hostile import Hostile
from support.process import open_files, rss_bytes
from support.throwing import throw

COUNT = 110_000
"""For each of three models."""

EXPECTED = frozenset({0, 200, 400, 404, 405, 408, 413, 431, 504})
GROWTH = 0.10
LIMITS = {"maxBodyBytes": 1_000_000}

INTEGERS = ["INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"]
VALUES = {"BOOL": [True, False], "BYTES": ["a", "é"], **{name: [1, 2] for name in INTEGERS}}
EVERY: dict[str, Any] = {
    "inputs": [
        {"name": f"in_{name}", "datatype": name, "shape": [1, 2], "data": VALUES.get(name, [0.5, 1])}
        for name in (*VALUES, "FP16", "FP32", "FP64")
    ]
}


SHOP = {"inputs": tensors(store_id=[1, 2], crew=[1, None, 2, None], city=["Delft", None], rain=[5, 500])}


def fuzz(package: Path, document: dict[str, Any], seed: int, expected: frozenset[int] = EXPECTED, **more: Any) -> None:
    with serving(config_for(package, limits=LIMITS, **more)) as running:
        pid, port = running.process.pid, running.config.port
        asyncio.run(throw(port, Hostile(document, seed).requests(COUNT // 4)))
        rss, files = rss_bytes(pid), open_files(pid)
        statuses = asyncio.run(throw(port, Hostile(document, seed + 1).requests(COUNT - COUNT // 4)))
        assert set(statuses) <= expected, statuses
        assert statuses[400] > COUNT / 4
        assert running.client.post("/v2/models/shop/infer", json=document).status_code == 200
        assert running.metrics()['sluice_requests_in_flight{model="shop",revision=""}'] == 0
        assert rss_bytes(pid) <= (1 + GROWTH) * rss
        assert open_files(pid) <= files + 2


@pytest.mark.timeout(3600)
def test_a_classifier_withstands_hostile_requests(tmp_path: Path) -> None:
    fuzz(package_of(trained(), tmp_path), json.loads(BODY), seed=1)


@pytest.mark.timeout(3600)
def test_every_datatype_withstands_hostile_requests(tmp_path: Path) -> None:
    fuzz(package_of(every_datatype(), tmp_path), EVERY, seed=2)


@pytest.mark.timeout(3600)
def test_a_package_with_features_and_a_contract_withstands_hostile_requests(tmp_path: Path) -> None:
    with feature_store_aside(rows={1: ROW, 2: ROW, 3: {**ROW, "size": -1.0}, 4: {}}) as store:
        # 503: what the store says breaks the contract, or cannot be had.
        features = {"url": store.url, "timeoutSeconds": 10, "cacheSeconds": 60}
        fuzz(shop_package(tmp_path), SHOP, seed=3, expected=EXPECTED | {503}, features=features)
        assert store.calls, "no request was so sound that the store was asked"
