locals {
  cluster = "${var.cluster_name}-${var.environment}"
  tags = {
    managed-by  = "fairlead"
    cluster     = local.cluster
    environment = var.environment
  }
}

data "azurerm_client_config" "current" {}

resource "azurerm_resource_group" "this" {
  name     = local.cluster
  location = var.region
  tags     = local.tags
}
