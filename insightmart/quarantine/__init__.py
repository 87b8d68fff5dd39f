"""What was rejected and why: rows and files that wait to be mended."""
