"""What you test an integration with: servers that behave like the vendors', well and badly."""
