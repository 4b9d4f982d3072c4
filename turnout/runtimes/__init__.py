"""Ways to run a step's command: `process` (and `warm` ones), `docker`, `kubernetes`."""
