"""Rules of the Kubernetes manifests: one subject, so that a fault beside one rule is given to all."""

__all__ = ["access", "kustomize", "network", "quota", "schema", "workloads"]
