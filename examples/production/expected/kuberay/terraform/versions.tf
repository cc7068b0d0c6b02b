# State is remote, encrypted and locked: two people cannot apply at once. The bucket comes from ./state, applied once;
# its name is in backend.json: terraform init -backend-config=backend.json
terraform {
  required_version = ">= 1.11"

  backend "s3" {
    use_lockfile = true
    encrypt      = true
  }

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.25"
    }
  }
}

provider "aws" {
  region = var.aws_region

  default_tags {
    tags = {
      "app.kubernetes.io/managed-by" = "fairlead"
      cluster                        = local.cluster
      environment                    = var.environment
    }
  }
}
