"""How what is rendered gets into clusters. Pipelines and scripts are files that their own tools lint, as they are."""
