output "kubeconfig" {
  description = "The command that lets kubectl in"
  value       = "az aks get-credentials --name ${local.cluster} --resource-group ${local.cluster} && kubelogin convert-kubeconfig -l azurecli"
}

output "node_pools" {
  description = "Node pools: what they are made of and how many there may be"
  value = {
    for name, pool in var.pools :
    name => "${pool.instance_type}${pool.spot ? " (spot)" : ""} ${pool.min_size}-${pool.max_size}"
  }
}

output "buckets" {
  description = "Names of the containers of models and backups"
  value       = { for name, container in azurerm_storage_container.this : name => "${var.storage_account}/${container.name}" }
}

output "workload_identities" {
  description = "Client ids for the annotation azure.workload.identity/client-id of the service accounts"
  value       = { for name, identity in azurerm_user_assigned_identity.workload : name => identity.client_id }
}

output "key_vault" {
  description = "The vault whose secrets the cluster may read"
  value       = azurerm_key_vault.this.vault_uri
}
