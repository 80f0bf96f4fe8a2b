"""Networks composed of `nn` layers, and the model directories that store them."""
