"""What is in the images: a bill of materials for each, made from the image itself."""
