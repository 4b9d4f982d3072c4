"""Images of containers: what is in a team's own, and the programs that build and push it."""
