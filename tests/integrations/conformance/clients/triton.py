"""NVIDIA's client, over HTTP (binary, JSON, compressed) and gRPC."""

import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
import wire
from tritonclient.utils import InferenceServerException


def answer(job):
    module = triton_grpc if job["form"].startswith("grpc") else triton_http
    with module.InferenceServerClient(job["grpc"] if module is triton_grpc else job["http"]) as client:
        try:
            return {"outputs": infer(module, client, job)} if job["ask"] == "infer" else describe(client, job)
        except InferenceServerException as error:
            return {"error": error.message(), "status": str(error.status())}


def infer(module, client, job):
    binary = {} if module is triton_grpc else {"binary_data": job["form"] != "json"}
    inputs = []
    for tensor in job["inputs"]:
        inputs.append(module.InferInput(tensor["name"], tensor["shape"], tensor["datatype"]))
        inputs[-1].set_data_from_numpy(wire.load(tensor), **binary)
    outputs = [module.InferRequestedOutput(name, **binary) for name in job["outputs"]] or None
    packed = {"request_compression_algorithm": job["form"]} if job["form"] in ("gzip", "deflate") else {}
    packed |= {"compression_algorithm": "gzip"} if job["form"] == "grpc-gzip" else {}
    result = client.infer(job["model"], inputs, job["version"], outputs=outputs, request_id="7", **packed)
    response = result.get_response(as_json=True) if module is triton_grpc else result.get_response()
    assert response["id"] == "7"
    return [
        wire.tell(found["name"], found["datatype"], result.as_numpy(found["name"])) for found in response["outputs"]
    ]


def describe(client, job):
    as_json = {"as_json": True} if job["form"] == "grpc" else {}
    index = client.get_model_repository_index(**as_json)
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready() and client.is_model_ready(job["model"], job["version"]),
        "extensions": client.get_server_metadata(**as_json)["extensions"],
        "inputs": sorted(tensor["name"] for tensor in client.get_model_metadata(job["model"], **as_json)["inputs"]),
        "index": index["models"] if as_json else index,
    }


wire.main(answer)
