# The first eleven stand for a cluster with one GPU pool and one CPU pool. `pools`, which fairlead renders from its plan,
# replaces eight of them.

variable "aws_region" {
  description = "AWS region to deploy resources"
  type        = string
  default     = "us-west-2"
}

variable "environment" {
  description = "Environment name (dev, staging, prod)"
  type        = string
  default     = "prod"
}

variable "cluster_name" {
  description = "Name of the EKS cluster; the environment is added to it"
  type        = string
  default     = "ray-llm-cluster"
}

variable "gpu_node_instance_type" {
  description = "Instance type for GPU nodes"
  type        = string
  default     = "g4dn.xlarge"
}

variable "gpu_node_min_size" {
  description = "Minimum number of GPU nodes"
  type        = number
  default     = 1
}

variable "gpu_node_max_size" {
  description = "Maximum number of GPU nodes"
  type        = number
  default     = 10
}

variable "gpu_node_desired_size" {
  description = "Desired number of GPU nodes"
  type        = number
  default     = 2
}

variable "cpu_node_instance_type" {
  description = "Instance type for CPU nodes"
  type        = string
  default     = "m5.2xlarge"
}

variable "cpu_node_min_size" {
  description = "Minimum number of CPU nodes"
  type        = number
  default     = 2
}

variable "cpu_node_max_size" {
  description = "Maximum number of CPU nodes"
  type        = number
  default     = 5
}

variable "cpu_node_desired_size" {
  description = "Desired number of CPU nodes"
  type        = number
  default     = 2
}

variable "pools" {
  description = "Node pools by name; null: one GPU pool and one CPU pool of the variables above"
  type = map(object({
    instance_type = string
    gpus          = number
    spot          = bool
    min_size      = number
    max_size      = number
    desired_size  = number
    disk_gib      = number
    labels        = map(string)
    taints = list(object({
      key    = string
      value  = string
      effect = string
    }))
  }))
  default = null

  validation {
    condition = alltrue([
      for pool in coalesce(var.pools, {}) :
      pool.min_size <= pool.desired_size && pool.desired_size <= pool.max_size
    ])
    error_message = "A pool's desired size lies between its minimum and its maximum."
  }
}

variable "kubernetes_version" {
  description = "Version of the control plane; null: the newest that EKS gives by default"
  type        = string
  default     = null
}

variable "vpc_cidr" {
  description = "Addresses of the VPC; a /16 gives each zone a /20 of pods and nodes"
  type        = string
  default     = "10.0.0.0/16"
}

variable "zones" {
  description = "Number of availability zones"
  type        = number
  default     = 3
}

variable "api_cidrs" {
  description = "Who may reach the API server from outside; none: it is reachable from within the VPC only"
  type        = list(string)
  default     = []

  validation {
    condition     = !contains(var.api_cidrs, "0.0.0.0/0")
    error_message = "The API server is not for the whole internet: name the networks of your operators and runners."
  }
}

variable "admin_role_arns" {
  description = "IAM roles that administrate the cluster"
  type        = list(string)
  default     = []
}

variable "service_accounts" {
  description = "Kubernetes service accounts, as namespace/name, that get rights in the cloud: engines read models, the others as named"
  type = object({
    engines          = optional(string, "default/engine")
    external_secrets = optional(string, "external-secrets/external-secrets")
    backups          = optional(string, "velero/velero")
    batches          = optional(string, "default/batch")
    autoscaler       = optional(string, "kube-system/cluster-autoscaler")
  })
  default = {}
}

variable "batch_buckets" {
  description = "Buckets that batches read rows from and write answers to; they are there already"
  type        = list(string)
  default     = []
}

variable "secret_prefix" {
  description = "External Secrets may read what Secrets Manager holds below this prefix; null: the cluster's name"
  type        = string
  default     = null
}
