locals {
  cluster       = "${var.cluster_name}-${var.environment}"
  secret_prefix = coalesce(var.secret_prefix, local.cluster)

  # GKE spells the effects of taints in its own way
  effects = {
    NoSchedule       = "NO_SCHEDULE"
    NoExecute        = "NO_EXECUTE"
    PreferNoSchedule = "PREFER_NO_SCHEDULE"
  }

  # A Kubernetes service account is a principal of its own: no Google account stands in for it.
  principals = {
    for name, account in var.service_accounts : name => format(
      "principal://iam.googleapis.com/projects/%s/locations/global/workloadIdentityPools/%s.svc.id.goog/subject/ns/%s/sa/%s",
      data.google_project.this.number, var.project, split("/", account)[0], split("/", account)[1],
    )
  }
}

data "google_project" "this" {
  project_id = var.project
}
