"""Maps that other programs made of a scan: files in, a `VendorMap` out."""
