# State is remote, versioned and locked: Blob Storage holds a lease on it. The container comes from ./state, applied once;
# its name is in backend.json: terraform init -backend-config=backend.json
terraform {
  required_version = ">= 1.11"

  backend "azurerm" {
    use_azuread_auth = true
  }

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 4.55"
    }
  }
}

provider "azurerm" {
  subscription_id     = var.subscription
  storage_use_azuread = true

  features {}
}
