"""From a data scientist's class to a package: trained reproducibly, evaluated, described, pushed and registered."""
