"""What stands below the cluster: Terraform's modules are files that its own tools lint; only variables are rendered."""
