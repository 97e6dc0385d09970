"""Shorthand for the few protobuf shapes that recur in Envoy's configuration."""

from typing import Any

from sluice_operator.api.scalars import seconds

Json = dict[str, Any]

V2_ERRORS: Json = {"body_format": {"json_format": {"error": "%LOCAL_REPLY_BODY%"}}}
"""Every answer that Envoy itself gives takes the shape of an Open Inference Protocol error."""

_EXTENSIONS = "type.googleapis.com/envoy.extensions"


def address(host: str, port: int) -> Json:
    """A core.v3.Address."""
    return {"socket_address": {"address": host, "port_value": port}}


def duration(text: str) -> str:
    """A resource's duration as Envoy reads it: never with an exponent."""
    return f"{round(seconds(text), 3):.10g}s"


def extension(name: str, type_name: str, **config: Any) -> Json:
    """A core.v3.TypedExtensionConfig of `envoy.extensions.<type_name>`."""
    return {"name": name, "typed_config": typed(f"{_EXTENSIONS}.{type_name}", **config)}


def typed(type_url: str, **config: Any) -> Json:
    """A google.protobuf.Any."""
    return {"@type": type_url, **config}


def from_file(directory: str, file: str) -> Json:
    """A core.v3.ConfigSource on a mounted ConfigMap.

    The kubelet swaps a ConfigMap by renaming `..data` in the mount folder; the files themselves never move. So the
    folder is what has to be watched.
    """
    return {
        "resource_api_version": "V3",
        "path_config_source": {"path": f"{directory}/{file}", "watched_directory": {"path": directory}},
    }


def loopback_cluster(name: str, port: int) -> Json:
    """A cluster of one port on this host."""
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": load_assignment(name, (("127.0.0.1", port),)),
    }


def load_assignment(name: str, members: tuple[tuple[str, int], ...]) -> Json:
    """An endpoint.v3.ClusterLoadAssignment."""
    endpoints = [{"endpoint": {"address": address(host, port)}} for host, port in members]
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]}
