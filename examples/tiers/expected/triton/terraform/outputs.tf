output "kubeconfig" {
  description = "The command that lets kubectl in"
  value       = "gcloud container clusters get-credentials ${local.cluster} --region ${var.region} --project ${var.project}"
}

output "node_pools" {
  description = "Node pools: what they are made of and how many there may be"
  value = {
    for name, pool in var.pools :
    name => "${pool.instance_type}${pool.spot ? " (spot)" : ""} ${pool.min_size}-${pool.max_size}"
  }
}

output "buckets" {
  description = "Names of the buckets of models and backups"
  value       = { for name, bucket in google_storage_bucket.this : name => bucket.name }
}

output "secret_prefix" {
  description = "Secrets whose names begin so are those that the cluster may read"
  value       = local.secret_prefix
}
