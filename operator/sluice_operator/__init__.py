"""The Sluice operator: watches ModelDeployments and makes the cluster, and their status, true."""
