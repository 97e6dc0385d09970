"""One namespace of a cluster, reached as kubectl reaches it: with the kubeconfig and the rights of whoever types."""

import json
import os
from collections.abc import Iterator
from typing import Any, NoReturn

import urllib3
from kubernetes import client, config, watch
from kubernetes.client import ApiException

from sluice_operator.api.resource import GROUP, PLURAL, VERSION
from sluice_operator.cli.errors import CommandError

Json = dict[str, Any]

FIELD_MANAGER = "sluice-cli"
TIMEOUT = (5.0, 30.0)
"""Seconds to connect, and to wait for an answer."""
MERGE_PATCH = "application/merge-patch+json"


class Connection:
    """Reads and asks for one ModelDeployment. Raises CommandError with a sentence for a person."""

    def __init__(self, name: str, namespace: str | None, context: str | None, kubeconfig: str | None) -> None:
        api, found = _connect(context, kubeconfig)
        api.configuration.retries = urllib3.Retry(total=0)
        self.name = name
        self.namespace = namespace or found or "default"
        # The client's own types are of every API's every field; what is read here is JSON.
        self._custom: Any = client.CustomObjectsApi(api)
        self._core: Any = client.CoreV1Api(api)
        self._who: Any = client.AuthenticationV1Api(api)

    def get(self) -> Json:
        """The ModelDeployment."""
        try:
            found: Json = self._custom.get_namespaced_custom_object(*self._kind, self.name, _request_timeout=TIMEOUT)
        except (ApiException, urllib3.exceptions.HTTPError) as error:
            self._give_up(error, "read")
        return found

    def annotate(self, annotation: str, text: str) -> Json:
        """Set an annotation, and leave everything else to whoever keeps the manifest."""
        body = {"metadata": {"annotations": {annotation: text}}}
        try:
            found: Json = self._custom.patch_namespaced_custom_object(
                *self._kind,
                self.name,
                body,
                field_manager=FIELD_MANAGER,
                _content_type=MERGE_PATCH,
                _request_timeout=TIMEOUT,
            )
        except (ApiException, urllib3.exceptions.HTTPError) as error:
            self._give_up(error, "patch")
        return found

    def changes(self, seconds: float) -> Iterator[Json]:
        """The ModelDeployment as it is and after each change, for at most so long; ends earlier where it is deleted."""
        watching: Any = watch.Watch
        stream = watching().stream(
            self._custom.list_namespaced_custom_object,
            *self._kind,
            field_selector=f"metadata.name={self.name}",
            timeout_seconds=max(1, round(seconds)),
            _request_timeout=(TIMEOUT[0], seconds + TIMEOUT[1]),
        )
        try:
            for event in stream:
                if event["type"] == "DELETED":
                    return
                yield event["object"]
        except (ApiException, urllib3.exceptions.HTTPError) as error:
            self._give_up(error, "watch")

    def pods(self, selector: str) -> list[Json]:
        """Pods by label; none where they may not be seen."""
        return self._listed(self._core.list_namespaced_pod, label_selector=selector)

    def events(self) -> list[Json]:
        """Events about the ModelDeployment, oldest first; none where they may not be seen."""
        about = f"involvedObject.kind=ModelDeployment,involvedObject.name={self.name}"
        return sorted(self._listed(self._core.list_namespaced_event, field_selector=about), key=event_time)

    def pod_metrics(self, pod: str, port: int) -> str | None:
        """What a pod's /metrics says, through the API server; None where that is not allowed or not answered."""
        try:
            answer = self._core.connect_get_namespaced_pod_proxy_with_path(
                f"{pod}:{port}", self.namespace, "metrics", _preload_content=False, _request_timeout=(2.0, 5.0)
            )
            return str(answer.data.decode())
        except (ApiException, urllib3.exceptions.HTTPError):
            return None

    def user(self) -> str:
        """Who the API server says one is; empty where it does not tell."""
        try:
            review = self._who.create_self_subject_review(client.V1SelfSubjectReview(), _request_timeout=TIMEOUT)
        except (ApiException, urllib3.exceptions.HTTPError):
            return ""
        return str(review.status.user_info.username or "")

    @property
    def _kind(self) -> tuple[str, str, str, str]:
        return GROUP, VERSION, self.namespace, PLURAL

    def _listed(self, call: Any, **selector: str) -> list[Json]:
        try:
            answer = call(self.namespace, limit=500, _preload_content=False, _request_timeout=TIMEOUT, **selector)
        except ApiException as error:
            if error.status == 403:
                return []
            self._give_up(error, "list")
        except urllib3.exceptions.HTTPError as error:
            self._give_up(error, "list")
        items: list[Json] = json.loads(answer.data)["items"]
        return items

    def _give_up(self, error: Exception, verb: str) -> NoReturn:
        raise CommandError(self._said(error, verb)) from error

    def _said(self, error: Exception, verb: str) -> str:
        if not isinstance(error, ApiException):
            return f"the cluster does not answer: {error}"
        told = _message(error)
        match error.status:
            case 404 if "could not find the requested resource" in told or "page not found" in told:
                return "this cluster has no ModelDeployments: Sluice is not installed"
            case 404:
                return f"there is no ModelDeployment {self.name} in namespace {self.namespace}"
            case 403:
                return f"you may not {verb} ModelDeployments in namespace {self.namespace}: {told}"
            case 401:
                return "the cluster does not know you: log in again"
        return f"the API server says {error.status}: {told}"


def event_time(event: Json) -> str:
    """When an event was last seen."""
    series = event.get("series") or {}
    return str(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or "")


def _message(error: ApiException) -> str:
    try:
        return str(json.loads(error.body or "")["message"])
    except (TypeError, ValueError, KeyError):
        return str(error.body or error.reason)


def _connect(context: str | None, kubeconfig: str | None) -> tuple[client.ApiClient, str]:
    """A client, and the namespace that its context names."""
    loader: Any = config
    # A kubeconfig that skips verification says so itself; kubectl does not repeat it at every request either.
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    try:
        known, active = loader.list_kube_config_contexts(kubeconfig)
        chosen = context or active["name"]
        api: client.ApiClient = loader.new_client_from_config(kubeconfig, chosen, persist_config=False)
        return api, next(str(one["context"].get("namespace") or "") for one in known if one["name"] == chosen)
    except config.ConfigException as error:
        if context or kubeconfig or os.environ.get("KUBECONFIG"):
            raise CommandError(f"kubeconfig: {error}") from error
    try:
        loader.load_incluster_config()
    except config.ConfigException as error:
        raise CommandError("no cluster: there is no kubeconfig, and this is no pod") from error
    return client.ApiClient(), ""
