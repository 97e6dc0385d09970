"""What is refused of the model: where it comes from, with what credentials, and whose signature it bears."""

from controlplane.crd.refused import ALIAS, KEYLESS, MLFLOW, Refused

TABLE = (
    Refused("no URI scheme", ("spec.model.uri", "http|https|s3|gs|az|oci|hf|pvc|file"), model={"uri": "/models/1"}),
    Refused(
        "an unknown URI scheme",
        ("spec.model.uri", "http|https|s3|gs|az|oci|hf|pvc|file"),
        model={"uri": "ftp://host/1.tar.gz"},
    ),
    Refused("an http URI without a path", ("spec.model.uri", "host and the path"), model={"uri": "https://host/"}),
    Refused("credentials in the URI", ("spec.model.uri", "name a Secret"), model={"uri": "https://a:b@host/1.tar"}),
    Refused("a claim without a path", ("spec.model.uri", "pvc://CLAIM/PATH"), model={"uri": "pvc://claim"}),
    Refused("a claim that cannot exist", ("spec.model.uri", "pvc://CLAIM/PATH"), model={"uri": "pvc://My_Claim/1"}),
    Refused("a file URI with a host", ("spec.model.uri", "three slashes"), model={"uri": "file://models/1"}),
    Refused("a path that climbs", ("spec.model.uri", "'..'"), model={"uri": "pvc://claim/models/../../etc"}),
    Refused("a bucket without a key", ("spec.model.uri", "s3://BUCKET/KEY"), model={"uri": "s3://models"}),
    Refused("a key that climbs", ("spec.model.uri", "'..'"), model={"uri": "gs://models/a/../b"}),
    Refused("an artifact in capitals", ("oci://REGISTRY/REPOSITORY:TAG",), model={"uri": "oci://r.example/Shop:1"}),
    Refused("a short digest of an artifact", ("@sha256:DIGEST",), model={"uri": "oci://r.example/shop@sha256:12"}),
    Refused("a hub's organization alone", ("hf://ORGANIZATION/NAME",), model={"uri": "hf://ours"}),
    Refused("a registered model with two slashes", ("spec.model.uri",), model={"uri": "models://shop/1"}),
    Refused("a registered model's stage", ("models:/NAME@ALIAS",), model={"uri": "models:/shop/Production", **MLFLOW}),
    Refused("a registry that nobody names", ("spec.model", "needs endpoint"), model={"uri": "models:/shop@champion"}),
    Refused("an endpoint of a web server", ("spec.model", "says itself where it leads"), model=MLFLOW),
    Refused("credentials in the endpoint", ("model.endpoint",), model={"uri": "s3://a/b", "endpoint": "http://a:b@s3"}),
    Refused("polling what cannot move", ("spec.model", "one that can"), model={"poll": "1m"}),
    Refused("polling a version", ("one that can",), model={"uri": "models:/shop/3", "poll": "1m", **MLFLOW}),
    Refused("polling a commit", ("one that can",), model={"uri": f"hf://ours/shop@{'0' * 40}/onnx", "poll": "1m"}),
    Refused(
        "polling an artifact's digest",
        ("one that can",),
        model={"uri": f"oci://r.example/shop@sha256:{'0' * 64}", "poll": "1m"},
    ),
    Refused("polling all the time", ("poll is at least 10s",), model={**ALIAS, "poll": "9s"}),
    Refused("polling what is held", ("set one of them",), model={**ALIAS, "digest": "sha256:" + "0" * 64}),
    Refused("no size", ("spec.model.maxSize", "should match"), model={"maxSize": "0"}),
    Refused("credentials of nobody", ("spec.model.credentials", "name a Secret"), model={"credentials": {}}),
    Refused("a signature of nobody", ("spec.model.signature", "exactly one of"), model={"signature": {}}),
    Refused(
        "a signature of two kinds",
        ("spec.model.signature", "exactly one of"),
        model={"signature": {"keyless": KEYLESS, "publicKey": {"secretRef": {"name": "k"}}}},
    ),
    Refused("no model", ("spec.model", "must be of type object"), spec={"model": None}),
    Refused("a short digest", ("spec.model.digest", "sha256:[0-9a-f]{64}"), model={"digest": "sha256:12"}),
    Refused(
        "another kind of digest", ("spec.model.digest", "sha256:[0-9a-f]{64}"), model={"digest": "md5:" + "0" * 64}
    ),
    Refused(
        "a Secret name that cannot exist",
        ("spec.model.credentials.secretRef.name", "should match"),
        model={"credentials": {"secretRef": {"name": "My Secret"}}},
    ),
)
