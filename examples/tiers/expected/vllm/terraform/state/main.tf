# The bucket that holds the state of everything else. Applied once, with state on the disk of who does it:
# terraform -chdir=state init && terraform -chdir=state apply -var-file=../state.tfvars.json
terraform {
  required_version = ">= 1.11"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50"
    }
  }
}

variable "project" {
  description = "Project of the bucket"
  type        = string
}

variable "region" {
  description = "Region of the bucket"
  type        = string
}

variable "bucket" {
  description = "Name of the bucket, as in backend.json"
  type        = string
}

provider "google" {
  project = var.project
  region  = var.region
}

resource "google_storage_bucket" "state" {
  name                        = var.bucket
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  versioning {
    enabled = true
  }

  lifecycle_rule {
    condition {
      num_newer_versions = 50
    }
    action {
      type = "Delete"
    }
  }

  lifecycle {
    prevent_destroy = true
  }
}
