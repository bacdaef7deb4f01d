"""What the project measures about itself: every ratio beside its yardstick, in one run."""
