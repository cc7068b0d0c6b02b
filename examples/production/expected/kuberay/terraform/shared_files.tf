# A model cache that many pods share: an encrypted file system in each zone, and the driver of the storage class `efs`.
resource "aws_efs_file_system" "this" {
  creation_token  = local.cluster
  encrypted       = true
  kms_key_id      = aws_kms_key.this.arn
  throughput_mode = "elastic"
  tags            = { Name = local.cluster }

  lifecycle_policy {
    transition_to_ia = "AFTER_30_DAYS"
  }
}

resource "aws_efs_backup_policy" "this" {
  file_system_id = aws_efs_file_system.this.id

  backup_policy {
    status = "DISABLED" # models come from their publisher again
  }
}

resource "aws_security_group" "efs" {
  name        = "${local.cluster}-efs"
  description = "NFS from the nodes"
  vpc_id      = aws_vpc.this.id
}

resource "aws_vpc_security_group_ingress_rule" "nfs" {
  security_group_id            = aws_security_group.efs.id
  description                  = "NFS from the nodes"
  referenced_security_group_id = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 2049
  to_port                      = 2049
}

resource "aws_efs_mount_target" "this" {
  count           = var.zones
  file_system_id  = aws_efs_file_system.this.id
  subnet_id       = aws_subnet.private[count.index].id
  security_groups = [aws_security_group.efs.id]
}

resource "aws_eks_addon" "shared_files" {
  cluster_name                = aws_eks_cluster.this.name
  addon_name                  = "aws-efs-csi-driver"
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"

  pod_identity_association {
    role_arn        = aws_iam_role.pod["shared_files"].arn
    service_account = "efs-csi-controller-sa"
  }

  depends_on = [aws_eks_node_group.pool]
}

resource "aws_iam_role_policy_attachment" "shared_files" {
  role       = aws_iam_role.pod["shared_files"].name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AmazonEFSCSIDriverPolicy"
}

output "efs" {
  description = "The file system that the storage class names: parameters {provisioningMode: efs-ap, fileSystemId: this}"
  value       = aws_efs_file_system.this.id
}
