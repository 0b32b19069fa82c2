"""Which weights: catalog, local folders, GGUF files, the Hub; device, number format, quantization."""
