"""Where model packages come from and go to: stores, references to versions in them, and signatures."""
