# Least rights: the nodes write logs and metrics and pull images; each workload has what it needs, by its own name.
resource "google_service_account" "node" {
  account_id   = "${substr(local.cluster, 0, 25)}-node"
  display_name = "Nodes of ${local.cluster}"
}

resource "google_project_iam_member" "node" {
  for_each = toset([
    "roles/container.defaultNodeServiceAccount",
    "roles/artifactregistry.reader",
  ])
  project = var.project
  role    = each.value
  member  = google_service_account.node.member
}

resource "google_storage_bucket_iam_member" "engines" {
  bucket = google_storage_bucket.this["models"].name
  role   = "roles/storage.objectViewer"
  member = local.principals.engines
}

# Rows and answers of batches.
resource "google_storage_bucket_iam_member" "batches" {
  for_each = toset(var.batch_buckets)
  bucket   = each.value
  role     = "roles/storage.objectUser"
  member   = local.principals.batches
}

resource "google_storage_bucket_iam_member" "backups" {
  bucket = google_storage_bucket.this["backups"].name
  role   = "roles/storage.objectUser"
  member = local.principals.backups
}

resource "google_project_iam_member" "external_secrets" {
  project = var.project
  role    = "roles/secretmanager.secretAccessor"
  member  = local.principals.external_secrets

  condition {
    title      = "secrets of this cluster"
    expression = "resource.name.startsWith(\"projects/${data.google_project.this.number}/secrets/${local.secret_prefix}-\")"
  }
}
