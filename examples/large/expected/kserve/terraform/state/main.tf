# The container that holds the state of everything else. Applied once, with state on the disk of who does it:
# terraform -chdir=state init && terraform -chdir=state apply -var-file=../state.tfvars.json
terraform {
  required_version = ">= 1.11"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 4.55"
    }
  }
}

variable "subscription" {
  description = "Subscription of the storage account"
  type        = string
}

variable "region" {
  description = "Region of the storage account"
  type        = string
}

variable "resource_group_name" {
  description = "Resource group of the storage account, as in backend.json"
  type        = string
}

variable "storage_account_name" {
  description = "Name of the storage account, as in backend.json"
  type        = string
}

variable "container_name" {
  description = "Name of the container, as in backend.json"
  type        = string
}

provider "azurerm" {
  subscription_id     = var.subscription
  storage_use_azuread = true

  features {}
}

resource "azurerm_resource_group" "state" {
  name     = var.resource_group_name
  location = var.region
}

resource "azurerm_storage_account" "state" {
  name                              = var.storage_account_name
  location                          = azurerm_resource_group.state.location
  resource_group_name               = azurerm_resource_group.state.name
  account_tier                      = "Standard"
  account_replication_type          = "GRS"
  min_tls_version                   = "TLS1_2"
  https_traffic_only_enabled        = true
  infrastructure_encryption_enabled = true
  allow_nested_items_to_be_public   = false
  shared_access_key_enabled         = false
  local_user_enabled                = false
  default_to_oauth_authentication   = true

  blob_properties {
    versioning_enabled = true

    delete_retention_policy {
      days = 90
    }

    container_delete_retention_policy {
      days = 90
    }
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "azurerm_storage_container" "state" {
  name                  = var.container_name
  storage_account_id    = azurerm_storage_account.state.id
  container_access_type = "private"
}
