# One node pool a pool. Labels and taints are the plan's: what pods select and tolerate is made of the same values. A size is
# that of the whole pool, over all its zones.
resource "google_container_node_pool" "pool" {
  for_each           = var.pools
  name               = each.key
  cluster            = google_container_cluster.this.id
  location           = var.region
  initial_node_count = 0

  autoscaling {
    total_min_node_count = each.value.min_size
    total_max_node_count = each.value.max_size
    location_policy      = each.value.spot ? "ANY" : "BALANCED"
  }

  management {
    auto_repair  = true
    auto_upgrade = true
  }

  # GPUs are scarce: a node is replaced in its place, not beside it
  upgrade_settings {
    max_surge       = each.value.gpus > 0 ? 0 : 1
    max_unavailable = each.value.gpus > 0 ? 1 : 0
  }

  node_config {
    machine_type    = each.value.instance_type
    spot            = each.value.spot
    disk_size_gb    = each.value.disk_gib
    disk_type       = "pd-balanced"
    image_type      = "COS_CONTAINERD"
    labels          = each.value.labels
    service_account = google_service_account.node.email
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]

    dynamic "guest_accelerator" {
      for_each = each.value.gpus > 0 ? [each.value] : []
      content {
        type  = guest_accelerator.value.accelerator
        count = guest_accelerator.value.gpus

        gpu_driver_installation_config {
          gpu_driver_version = "LATEST"
        }
      }
    }

    dynamic "taint" {
      for_each = each.value.taints
      content {
        key    = taint.value.key
        value  = taint.value.value
        effect = local.effects[taint.value.effect]
      }
    }

    # pods get their own identity, never the node's
    workload_metadata_config {
      mode = "GKE_METADATA"
    }

    shielded_instance_config {
      enable_secure_boot          = true
      enable_integrity_monitoring = true
    }

    metadata = {
      disable-legacy-endpoints = "true"
    }

    gvnic {
      enabled = true
    }
  }

  lifecycle {
    ignore_changes = [initial_node_count] # the autoscaler's
  }
}
