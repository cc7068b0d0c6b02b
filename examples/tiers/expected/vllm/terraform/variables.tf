variable "project" {
  description = "Project that everything belongs to"
  type        = string
}

variable "region" {
  description = "Region of the cluster; its control plane and its pools span the region's zones"
  type        = string
}

variable "zones" {
  description = "Zones of the nodes, for GPUs that not every zone of the region has; none: all of them"
  type        = list(string)
  default     = []
}

variable "environment" {
  description = "Environment name (dev, staging, prod)"
  type        = string
  default     = "prod"
}

variable "cluster_name" {
  description = "Name of the GKE cluster; the environment is added to it"
  type        = string
  default     = "ray-llm-cluster"
}

variable "pools" {
  description = "Node pools by name. `accelerator` is GKE's name of the GPU, empty without one"
  type = map(object({
    instance_type = string
    accelerator   = string
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

  validation {
    condition = alltrue([
      for pool in var.pools : pool.min_size <= pool.desired_size && pool.desired_size <= pool.max_size
    ])
    error_message = "A pool's desired size lies between its minimum and its maximum."
  }
}

variable "cidrs" {
  description = "Addresses of nodes, pods, services, and of the control plane (a /28)"
  type        = object({ nodes = string, pods = string, services = string, control_plane = string })
  default = {
    nodes         = "10.0.0.0/20"
    pods          = "10.4.0.0/14"
    services      = "10.8.0.0/20"
    control_plane = "172.16.0.0/28"
  }
}

variable "api_cidrs" {
  description = "Who may reach the API server from outside; none: it is reachable from within the network only"
  type        = list(string)
  default     = []

  validation {
    condition     = !contains(var.api_cidrs, "0.0.0.0/0")
    error_message = "The API server is not for the whole internet: name the networks of your operators and runners."
  }
}

variable "service_accounts" {
  description = "Kubernetes service accounts, as namespace/name, that get rights in the cloud: engines read models, the others as named"
  type = object({
    engines          = optional(string, "default/engine")
    external_secrets = optional(string, "external-secrets/external-secrets")
    backups          = optional(string, "velero/velero")
    batches          = optional(string, "default/batch")
  })
  default = {}
}

variable "batch_buckets" {
  description = "Buckets that batches read rows from and write answers to; they are there already"
  type        = list(string)
  default     = []
}

variable "secret_prefix" {
  description = "External Secrets may read what Secret Manager holds under names with this prefix; null: the cluster's name"
  type        = string
  default     = null
}
