"""Arguments in the command of a component's steps that say something to caches."""

OUTSIDE = "--outside"
"""Followed by the function that tells the state of what the component looks at beside its inputs."""

UNCACHED = "--uncached"
"""The component is there for what it does outside of the run: its steps always run."""

CREATE_PVC, DELETE_PVC = "argostub/createpvc", "argostub/deletepvc"
"""The images of kfp-kubernetes' CreatePVC and DeletePVC, which are none: KFP's driver does what they stand for."""
