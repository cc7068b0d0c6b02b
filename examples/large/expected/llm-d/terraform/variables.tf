variable "subscription" {
  description = "Subscription that everything belongs to"
  type        = string
}

variable "region" {
  description = "Region of the cluster"
  type        = string
}

variable "zones" {
  description = "Availability zones of the nodes; none where the region or its GPUs have none"
  type        = list(string)
  default     = []
}

variable "environment" {
  description = "Environment name (dev, staging, prod)"
  type        = string
  default     = "prod"
}

variable "cluster_name" {
  description = "Name of the AKS cluster; the environment is added to it"
  type        = string
  default     = "ray-llm-cluster"
}

variable "pools" {
  description = "Node pools by name, which is at most 12 small letters and digits here"
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

  validation {
    condition     = alltrue([for name in keys(var.pools) : can(regex("^[a-z][a-z0-9]{0,11}$", name))])
    error_message = "AKS takes names of pools of at most 12 small letters and digits, a letter first."
  }

  validation {
    condition = alltrue([
      for pool in var.pools : pool.min_size <= pool.desired_size && pool.desired_size <= pool.max_size
    ])
    error_message = "A pool's desired size lies between its minimum and its maximum."
  }
}

variable "system_pool" {
  description = "Nodes of the cluster's own pods, on which nothing else runs"
  type        = object({ instance_type = string, min_size = number, max_size = number })
  default     = { instance_type = "Standard_D4s_v5", min_size = 2, max_size = 4 }
}

variable "vnet_cidr" {
  description = "Addresses of the virtual network; pods have an overlay of their own"
  type        = string
  default     = "10.0.0.0/16"
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

variable "admin_group_ids" {
  description = "Entra groups that administrate the cluster"
  type        = list(string)
  default     = []
}

variable "service_accounts" {
  description = "Kubernetes service accounts, as namespace/name, that get rights in the cloud: engines read models, the others as named"
  type = object({
    engines          = optional(string, "default/engine")
    external_secrets = optional(string, "external-secrets/external-secrets")
    backups          = optional(string, "velero/velero")
  })
  default = {}
}

variable "storage_account" {
  description = "Name of the storage account of models and backups: 3 to 24 small letters and digits, unique in Azure"
  type        = string
}

variable "key_vault" {
  description = "Name of the key vault: 3 to 24 letters, digits and dashes, unique in Azure"
  type        = string
}
