"""Where bundles come from and go to: addresses, the shipped presets, versioned folders and the Hugging Face Hub."""
