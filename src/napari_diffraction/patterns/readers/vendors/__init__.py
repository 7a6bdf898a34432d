"""Files of single makers of cameras and microscopes, read without their programs."""
