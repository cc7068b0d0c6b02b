# Least rights: each service account is federated with an identity of its own, which may do what is said here.
resource "azurerm_user_assigned_identity" "cluster" {
  name                = "${local.cluster}-cluster"
  location            = azurerm_resource_group.this.location
  resource_group_name = azurerm_resource_group.this.name
  tags                = local.tags
}

resource "azurerm_role_assignment" "network" {
  scope                = azurerm_virtual_network.this.id
  role_definition_name = "Network Contributor"
  principal_id         = azurerm_user_assigned_identity.cluster.principal_id
}

resource "azurerm_user_assigned_identity" "workload" {
  for_each            = var.service_accounts
  name                = "${local.cluster}-${replace(each.key, "_", "-")}"
  location            = azurerm_resource_group.this.location
  resource_group_name = azurerm_resource_group.this.name
  tags                = local.tags
}

resource "azurerm_federated_identity_credential" "workload" {
  for_each            = var.service_accounts
  name                = replace(each.key, "_", "-")
  resource_group_name = azurerm_resource_group.this.name
  parent_id           = azurerm_user_assigned_identity.workload[each.key].id
  issuer              = azurerm_kubernetes_cluster.this.oidc_issuer_url
  subject             = "system:serviceaccount:${replace(each.value, "/", ":")}"
  audience            = ["api://AzureADTokenExchange"]
}

resource "azurerm_role_assignment" "engines" {
  scope                = azurerm_storage_container.this["models"].id
  role_definition_name = "Storage Blob Data Reader"
  principal_id         = azurerm_user_assigned_identity.workload["engines"].principal_id
}

resource "azurerm_role_assignment" "backups" {
  scope                = azurerm_storage_container.this["backups"].id
  role_definition_name = "Storage Blob Data Contributor"
  principal_id         = azurerm_user_assigned_identity.workload["backups"].principal_id
}

resource "azurerm_role_assignment" "external_secrets" {
  scope                = azurerm_key_vault.this.id
  role_definition_name = "Key Vault Secrets User"
  principal_id         = azurerm_user_assigned_identity.workload["external_secrets"].principal_id
}
