"""What people type about ModelDeployments in a cluster: `sluice status`, `promote`, `validate` and the like."""
