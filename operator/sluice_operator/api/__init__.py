"""The ModelDeployment resource as types: the one place where a field's name, default, rule and meaning are written."""
