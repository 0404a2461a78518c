"""Rules of the Kubernetes manifests: one subject, so that a fault of one rule is tested with all."""

__all__ = ["access", "kustomize", "network", "quota", "schema", "workloads"]
