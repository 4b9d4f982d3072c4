"""Arguments in the command of a component's steps that say something to caches."""

OUTSIDE = "--outside"
"""Followed by the function that tells the state of what the component looks at beside its inputs."""

UNCACHED = "--uncached"
"""The component is there for what it does outside of the run: its steps always run."""
