output "kubeconfig" {
  description = "The command that lets kubectl in"
  value       = "aws eks update-kubeconfig --name ${local.cluster} --region ${var.aws_region}"
}

output "node_pools" {
  description = "Node pools: what they are made of and how many there may be"
  value = {
    for name, pool in local.pools :
    name => "${pool.instance_type}${pool.spot ? " (spot)" : ""} ${pool.min_size}-${pool.max_size}"
  }
}

output "buckets" {
  description = "Names of the buckets of models and backups"
  value       = { for name, bucket in aws_s3_bucket.this : name => bucket.bucket }
}

output "secret_prefix" {
  description = "Secrets below this prefix are those that the cluster may read"
  value       = local.secret_prefix
}
