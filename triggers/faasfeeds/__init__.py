"""Where events come from: one folder per feed."""
