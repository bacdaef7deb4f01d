"""The feed at full size, with everything killed again and again: `make soak`."""
