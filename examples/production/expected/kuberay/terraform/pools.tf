# One managed node group a pool. Labels and taints are the plan's: what pods select and tolerate is made of the same values.
resource "aws_eks_node_group" "pool" {
  for_each        = local.pools
  cluster_name    = aws_eks_cluster.this.name
  node_group_name = each.key
  node_role_arn   = aws_iam_role.node.arn
  subnet_ids      = aws_subnet.private[*].id
  instance_types  = [each.value.instance_type]
  capacity_type   = each.value.spot ? "SPOT" : "ON_DEMAND"
  ami_type        = local.ami_types[each.key]
  labels          = each.value.labels

  launch_template {
    id      = aws_launch_template.pool[each.key].id
    version = aws_launch_template.pool[each.key].latest_version
  }

  scaling_config {
    min_size     = each.value.min_size
    max_size     = each.value.max_size
    desired_size = each.value.desired_size
  }

  update_config {
    max_unavailable = 1
  }

  node_repair_config {
    enabled = true
  }

  dynamic "taint" {
    for_each = each.value.taints
    content {
      key    = taint.value.key
      value  = taint.value.value
      effect = local.effects[taint.value.effect]
    }
  }

  lifecycle {
    ignore_changes = [scaling_config[0].desired_size] # the autoscaler's
  }

  depends_on = [aws_iam_role_policy_attachment.node, aws_eks_addon.before_nodes]
}

locals {
  # Graviton's instances have a g after the generation: m7g, c8gn
  arm = { for name, pool in local.pools : name => length(regexall("^[a-z]+[0-9]+g[a-z]*\\.", pool.instance_type)) > 0 }
  ami_types = {
    for name, pool in local.pools :
    name => pool.gpus > 0 ? "AL2023_x86_64_NVIDIA" : local.arm[name] ? "AL2023_ARM_64_STANDARD" : "AL2023_x86_64_STANDARD"
  }
}

resource "aws_launch_template" "pool" {
  for_each    = local.pools
  name_prefix = "${local.cluster}-${each.key}-"

  # pods cannot reach the node's credentials: they are one hop further away
  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  monitoring {
    enabled = true
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_type           = "gp3"
      volume_size           = each.value.disk_gib
      encrypted             = true
      kms_key_id            = aws_kms_key.this.arn
      delete_on_termination = true
    }
  }

  tag_specifications {
    resource_type = "instance"
    tags          = { Name = "${local.cluster}-${each.key}" }
  }
}

# A pool of zero nodes: the cluster autoscaler reads from these tags what a node of it would be like.
locals {
  label_tags = merge([
    for name, pool in local.pools : {
      for key, value in pool.labels :
      "${name}/label/${key}" => { pool = name, key = "k8s.io/cluster-autoscaler/node-template/label/${key}", value = value }
    }
  ]...)
  taint_tags = merge([
    for name, pool in local.pools : {
      for taint in pool.taints : "${name}/taint/${taint.key}" => {
        pool  = name
        key   = "k8s.io/cluster-autoscaler/node-template/taint/${taint.key}"
        value = "${taint.value}:${taint.effect}"
      }
    }
  ]...)
  gpu_tags = {
    for name, pool in local.pools : "${name}/gpus" => {
      pool  = name
      key   = "k8s.io/cluster-autoscaler/node-template/resources/nvidia.com/gpu"
      value = tostring(pool.gpus)
    } if pool.gpus > 0
  }
}

resource "aws_autoscaling_group_tag" "template" {
  for_each               = merge(local.label_tags, local.taint_tags, local.gpu_tags)
  autoscaling_group_name = aws_eks_node_group.pool[each.value.pool].resources[0].autoscaling_groups[0].name

  tag {
    key                 = each.value.key
    value               = each.value.value
    propagate_at_launch = false
  }
}
