"""Where bundles come from and go to: addresses, shipped presets, versioned folders and the Hugging Face Hub."""
