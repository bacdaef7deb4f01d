"""An environment's secrets: which there are, which action holds which, and how a changed one gets to its holders."""
