"""The cluster, the store and the namespaces are those of the end-to-end tests."""

from e2e.conftest import cluster, kube, module_kube, shared, store, zoo

__all__ = ["cluster", "kube", "module_kube", "shared", "store", "zoo"]
