"""The autoscaler on Kubernetes: leadership by a Lease, its memory in a ConfigMap, KubeRay's clusters, events."""
