"""An application that asks what stores will earn: `python3 app.py 42 43`, in a pod with a token for the model.

It knows the stores' numbers and nothing else: the features are fetched where the model is served.
"""

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

URL = os.environ.get("MODEL_URL", "http://store-revenue/v2/models/store-revenue/infer")
# The kubelet renews the file long before the token expires, so it is read for each request.
TOKEN = Path("/var/run/secrets/sluice.dev/token")


def ask(stores: list[int]) -> dict[str, object]:
    """Status, revenue of each store, and what the answer says of itself."""
    tensor = {"name": "store_id", "datatype": "INT64", "shape": [len(stores)], "data": stores}
    head = {"Content-Type": "application/json"}
    if TOKEN.exists():
        head["Authorization"] = f"Bearer {TOKEN.read_text().strip()}"
    request = urllib.request.Request(URL, json.dumps({"inputs": [tensor]}).encode(), head)
    try:
        answer = urllib.request.urlopen(request, timeout=10)
    except urllib.error.HTTPError as refusal:
        answer = refusal
    with answer:
        body = json.load(answer)
        told = {"status": answer.status, "revision": answer.headers.get("x-sluice-revision")}
        if notes := answer.headers.get("x-sluice-notes"):
            told["notes"] = notes
    if "error" in body:
        return {**told, "error": body["error"]}
    return {**told, "revenue": body["outputs"][0]["data"]}


if __name__ == "__main__":
    print(json.dumps(ask([int(word) for word in sys.argv[1:]])))
