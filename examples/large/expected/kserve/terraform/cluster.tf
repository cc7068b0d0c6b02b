# The control plane: Entra says who somebody is, Azure's roles what they may do; there are no local accounts. Cilium enforces
# NetworkPolicies.
resource "azurerm_kubernetes_cluster" "this" {
  name                      = local.cluster
  location                  = azurerm_resource_group.this.location
  resource_group_name       = azurerm_resource_group.this.name
  dns_prefix                = local.cluster
  sku_tier                  = "Standard"
  automatic_upgrade_channel = "stable"
  node_os_upgrade_channel   = "NodeImage"
  private_cluster_enabled   = length(var.api_cidrs) == 0
  local_account_disabled    = true
  run_command_enabled       = false
  azure_policy_enabled      = true
  oidc_issuer_enabled       = true
  workload_identity_enabled = true
  image_cleaner_enabled     = true
  tags                      = local.tags

  image_cleaner_interval_hours = 168

  default_node_pool {
    name                         = "system"
    vm_size                      = var.system_pool.instance_type
    auto_scaling_enabled         = true
    min_count                    = var.system_pool.min_size
    max_count                    = var.system_pool.max_size
    max_pods                     = 110
    only_critical_addons_enabled = true
    host_encryption_enabled      = true
    os_disk_size_gb              = 128
    vnet_subnet_id               = azurerm_subnet.nodes.id
    zones                        = var.zones
    temporary_name_for_rotation  = "systemtmp"

    upgrade_settings {
      max_surge = "1"
    }
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.cluster.id]
  }

  azure_active_directory_role_based_access_control {
    azure_rbac_enabled     = true
    admin_group_object_ids = var.admin_group_ids
  }

  dynamic "api_server_access_profile" {
    for_each = length(var.api_cidrs) > 0 ? [var.api_cidrs] : []
    content {
      authorized_ip_ranges = api_server_access_profile.value
    }
  }

  network_profile {
    network_plugin      = "azure"
    network_plugin_mode = "overlay"
    network_data_plane  = "cilium"
    network_policy      = "cilium"
    outbound_type       = "userAssignedNATGateway"
    load_balancer_sku   = "standard"
  }

  storage_profile {
    blob_driver_enabled = true
  }

  key_vault_secrets_provider {
    secret_rotation_enabled = true
  }

  oms_agent {
    log_analytics_workspace_id      = azurerm_log_analytics_workspace.this.id
    msi_auth_for_monitoring_enabled = true
  }

  lifecycle {
    ignore_changes = [default_node_pool[0].node_count] # the autoscaler's
  }

  depends_on = [azurerm_role_assignment.network, azurerm_subnet_nat_gateway_association.this]
}

resource "azurerm_log_analytics_workspace" "this" {
  name                = local.cluster
  location            = azurerm_resource_group.this.location
  resource_group_name = azurerm_resource_group.this.name
  sku                 = "PerGB2018"
  retention_in_days   = 90
  tags                = local.tags
}

resource "azurerm_monitor_diagnostic_setting" "control_plane" {
  name                       = "control-plane"
  target_resource_id         = azurerm_kubernetes_cluster.this.id
  log_analytics_workspace_id = azurerm_log_analytics_workspace.this.id

  dynamic "enabled_log" {
    for_each = ["kube-apiserver", "kube-audit-admin", "kube-controller-manager", "kube-scheduler", "guard"]
    content {
      category = enabled_log.value
    }
  }
}
