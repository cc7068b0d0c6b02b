# One node pool a pool. Labels and taints are the plan's: what pods select and tolerate is made of the same values. AKS taints
# spot nodes by itself; that taint stands in the plan's too.
resource "azurerm_kubernetes_cluster_node_pool" "pool" {
  for_each              = var.pools
  name                  = each.key
  kubernetes_cluster_id = azurerm_kubernetes_cluster.this.id
  vm_size               = each.value.instance_type
  mode                  = "User"
  auto_scaling_enabled  = true
  min_count             = each.value.min_size
  max_count             = each.value.max_size
  node_count            = each.value.desired_size
  max_pods              = 110
  priority              = each.value.spot ? "Spot" : "Regular"
  eviction_policy       = each.value.spot ? "Delete" : null
  spot_max_price        = each.value.spot ? -1 : null # up to the price on demand
  gpu_driver            = each.value.gpus > 0 ? "Install" : null
  node_labels           = each.value.labels
  node_taints           = [for taint in each.value.taints : "${taint.key}=${taint.value}:${taint.effect}"]
  os_disk_size_gb       = each.value.disk_gib
  vnet_subnet_id        = azurerm_subnet.nodes.id
  zones                 = var.zones
  tags                  = local.tags

  host_encryption_enabled     = true
  temporary_name_for_rotation = "${substr(each.key, 0, 9)}tmp"

  dynamic "upgrade_settings" {
    for_each = each.value.spot ? [] : [1] # spot pools are not surged
    content {
      max_surge = "1"
    }
  }

  lifecycle {
    ignore_changes = [node_count] # the autoscaler's
  }
}
