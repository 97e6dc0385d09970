"""A slice of the fuzz run: hostile requests are refused, and nothing else happens."""

import asyncio
import json

from runtime.harness import Running
from runtime.raw import BODY
from support.hostile import Hostile
from support.throwing import throw

COUNT = 1500
SEED = 7
EXPECTED = {0, 200, 400, 404, 405, 408, 413, 431, 504}


def test_hostile_requests_are_refused_and_the_pod_serves_on(classifier: Running) -> None:
    requests = Hostile(json.loads(BODY), SEED).requests(COUNT)
    statuses = asyncio.run(throw(classifier.config.port, requests))
    assert set(statuses) <= EXPECTED
    assert statuses[400] > COUNT / 3
    assert classifier.client.post("/v2/models/shop/infer", content=BODY).status_code == 200
    assert classifier.metrics()['sluice_requests_in_flight{model="shop",revision="abc123"}'] == 0
