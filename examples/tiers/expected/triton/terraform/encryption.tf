# One key for the cluster's secrets and the buckets; it turns every 90 days.
resource "google_kms_key_ring" "this" {
  name     = local.cluster
  location = var.region
}

resource "google_kms_crypto_key" "this" {
  name            = local.cluster
  key_ring        = google_kms_key_ring.this.id
  rotation_period = "7776000s"

  lifecycle {
    prevent_destroy = true
  }
}

data "google_storage_project_service_account" "this" {}

resource "google_kms_crypto_key_iam_member" "users" {
  for_each = {
    cluster = "serviceAccount:service-${data.google_project.this.number}@container-engine-robot.iam.gserviceaccount.com"
    buckets = "serviceAccount:${data.google_storage_project_service_account.this.email_address}"
  }
  crypto_key_id = google_kms_crypto_key.this.id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = each.value
}
