"""What every target needs around its engines: gateway, routes, network, secrets, storage, scaling, backup."""
