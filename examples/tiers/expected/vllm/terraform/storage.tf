# Models and backups: versioned, encrypted with our key, closed to the public.
resource "google_storage_bucket" "this" {
  for_each                    = toset(["models", "backups"])
  name                        = "${var.project}-${local.cluster}-${each.key}"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  versioning {
    enabled = true
  }

  encryption {
    default_kms_key_name = google_kms_crypto_key.this.id
  }

  lifecycle_rule {
    condition {
      days_since_noncurrent_time = 90
    }
    action {
      type = "Delete"
    }
  }

  depends_on = [google_kms_crypto_key_iam_member.users]
}
