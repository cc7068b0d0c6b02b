# State is remote, versioned and locked: Cloud Storage locks by itself. The bucket comes from ./state, applied once; its
# name is in backend.json: terraform init -backend-config=backend.json
terraform {
  required_version = ">= 1.11"

  backend "gcs" {}

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50"
    }
  }
}

provider "google" {
  project = var.project
  region  = var.region

  default_labels = {
    managed-by  = "fairlead"
    cluster     = local.cluster
    environment = var.environment
  }
}
