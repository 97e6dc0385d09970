"""KServe's clients, over HTTP (binary and JSON) and gRPC."""

import asyncio

import grpc
import httpx
import wire
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput


def answer(job):
    return asyncio.run(_answer(job))


async def _answer(job):
    over_grpc = job["form"] == "grpc"
    client = (
        InferenceGRPCClient(job["grpc"]) if over_grpc else InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
    )
    place = () if over_grpc else (f"http://{job['http']}",)
    try:
        if job["ask"] == "infer":
            return {"outputs": await _infer(client, job, place)}
        model = {"model_name": job["model"]}
        ready = await client.is_server_ready(*place) and await client.is_model_ready(*place, **model)
        return {"live": await client.is_server_live(*place), "ready": ready}
    except grpc.RpcError as error:
        return {"error": error.details(), "status": str(error.code())}
    except httpx.HTTPStatusError as error:
        return {"error": error.response.json()["error"], "status": str(error.response.status_code)}
    finally:
        await client.close()


async def _infer(client, job, place):
    binary = job["form"] != "json"
    inputs = []
    for tensor in job["inputs"]:
        inputs.append(InferInput(tensor["name"], tensor["shape"], tensor["datatype"]))
        inputs[-1].set_data_from_numpy(wire.load(tensor), binary_data=binary)
    wish = {} if job["form"] == "grpc" else {"binary_data": binary}
    outputs = [RequestedOutput(name, parameters=wish) for name in job["outputs"]] or None
    parameters = {"binary_data_output": True} if job["form"] == "binary" else None
    request = InferRequest(job["model"], inputs, "7", request_outputs=outputs, parameters=parameters)
    response = await (
        client.infer(request) if not place else client.infer(*place, data=request, model_name=job["model"])
    )
    assert response.id == "7"
    return [wire.tell(found.name, found.datatype, found.as_numpy()) for found in response.outputs]


wire.main(answer)
