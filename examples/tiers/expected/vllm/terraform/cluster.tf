# A regional control plane. Dataplane V2 enforces NetworkPolicies; the Gateway API comes with the cluster.
resource "google_container_cluster" "this" {
  name                     = local.cluster
  location                 = var.region
  node_locations           = length(var.zones) > 0 ? var.zones : null
  network                  = google_compute_network.this.id
  subnetwork               = google_compute_subnetwork.nodes.id
  datapath_provider        = "ADVANCED_DATAPATH"
  deletion_protection      = startswith(var.environment, "prod")
  enable_shielded_nodes    = true
  resource_labels          = { environment = var.environment }
  remove_default_node_pool = true

  enable_intranode_visibility = true
  initial_node_count          = 1

  # of the pool that is removed at once
  node_config {
    service_account = google_service_account.node.email

    shielded_instance_config {
      enable_secure_boot          = true
      enable_integrity_monitoring = true
    }

    workload_metadata_config {
      mode = "GKE_METADATA"
    }
  }

  release_channel {
    channel = "REGULAR"
  }

  ip_allocation_policy {
    cluster_secondary_range_name  = "pods"
    services_secondary_range_name = "services"
  }

  private_cluster_config {
    enable_private_nodes    = true
    enable_private_endpoint = length(var.api_cidrs) == 0
    master_ipv4_cidr_block  = var.cidrs.control_plane
  }

  master_authorized_networks_config {
    dynamic "cidr_blocks" {
      for_each = var.api_cidrs
      content {
        cidr_block = cidr_blocks.value
      }
    }
  }

  master_auth {
    client_certificate_config {
      issue_client_certificate = false
    }
  }

  workload_identity_config {
    workload_pool = "${var.project}.svc.id.goog"
  }

  database_encryption {
    state    = "ENCRYPTED"
    key_name = google_kms_crypto_key.this.id
  }

  # as the project's policy says, which allows everything until somebody writes one
  binary_authorization {
    evaluation_mode = "PROJECT_SINGLETON_POLICY_ENFORCE"
  }

  gateway_api_config {
    channel = "CHANNEL_STANDARD"
  }

  addons_config {
    gcs_fuse_csi_driver_config {
      enabled = true
    }

    # a model cache that many pods share: storage class standard-rwx
    gcp_filestore_csi_driver_config {
      enabled = true
    }
  }

  logging_config {
    enable_components = ["SYSTEM_COMPONENTS", "WORKLOADS", "APISERVER"]
  }

  monitoring_config {
    enable_components = ["SYSTEM_COMPONENTS"]
  }

  depends_on = [google_kms_crypto_key_iam_member.users]
}
