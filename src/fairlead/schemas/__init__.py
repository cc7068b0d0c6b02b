"""What an API server says of a custom object, by the CustomResourceDefinition of its kind."""
