locals {
  cluster       = "${var.cluster_name}-${var.environment}"
  secret_prefix = coalesce(var.secret_prefix, local.cluster)
  zones         = slice(data.aws_availability_zones.available.names, 0, var.zones)

  # without a plan: the pools of the eleven variables, labelled and tainted as rendered pools are
  default_pools = {
    cpu = {
      instance_type = var.cpu_node_instance_type
      gpus          = 0
      spot          = false
      min_size      = var.cpu_node_min_size
      max_size      = var.cpu_node_max_size
      desired_size  = var.cpu_node_desired_size
      disk_gib      = 100
      labels        = { "fairlead.dev/pool" = "cpu" }
      taints        = []
    }
    gpu = {
      instance_type = var.gpu_node_instance_type
      gpus          = 1
      spot          = false
      min_size      = var.gpu_node_min_size
      max_size      = var.gpu_node_max_size
      desired_size  = var.gpu_node_desired_size
      disk_gib      = 200
      labels        = { "fairlead.dev/pool" = "gpu" }
      taints = [
        { key = "fairlead.dev/pool", value = "gpu", effect = "NoSchedule" },
        { key = "nvidia.com/gpu", value = "present", effect = "NoSchedule" },
      ]
    }
  }
  pools = var.pools == null ? local.default_pools : var.pools

  # EKS spells the effects of taints in its own way
  effects = {
    NoSchedule       = "NO_SCHEDULE"
    NoExecute        = "NO_EXECUTE"
    PreferNoSchedule = "PREFER_NO_SCHEDULE"
  }
}

data "aws_availability_zones" "available" {
  state = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}
