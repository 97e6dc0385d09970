"""TLS on the endpoint: a listener of its own, whose certificate Envoy reads from a mounted Secret and reads again when
the kubelet swaps it. Nothing restarts, connections under way go on, and a certificate that is broken is not taken.
"""

from sluice_operator.routing.envoy_layout import Layout
from sluice_operator.routing.envoy_proto import Json, extension, from_file

CERTIFICATE = "endpoint"
"""Name of the certificate in Envoy's configuration and stats."""


def secret(layout: Layout) -> Json:
    """The certificate (sds.yaml): the two files of a Secret of type kubernetes.io/tls."""
    return {
        "name": CERTIFICATE,
        "tls_certificate": {
            "certificate_chain": {"filename": f"{layout.tls_dir}/tls.crt"},
            "private_key": {"filename": f"{layout.tls_dir}/tls.key"},
            # The kubelet swaps a Secret as it swaps a ConfigMap: the folder is what has to be watched.
            "watched_directory": {"path": layout.tls_dir},
        },
    }


def transport_socket(layout: Layout) -> Json:
    """TLS 1.2 and 1.3, with HTTP/2 for those who ask for it (gRPC does) and HTTP/1.1."""
    named = {"name": CERTIFICATE, "sds_config": from_file(layout.config_dir, "sds.yaml")}
    return extension(
        "envoy.transport_sockets.tls",
        "transport_sockets.tls.v3.DownstreamTlsContext",
        common_tls_context={
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
            "tls_certificate_sds_secret_configs": [named],
        },
    )
