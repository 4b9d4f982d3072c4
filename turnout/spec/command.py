"""Arguments in the command of a component's steps that say something to caches and runtimes."""

OUTSIDE = "--outside"
"""Followed by the function that tells the state of what the component looks at beside its inputs."""

UNCACHED = "--uncached"
"""The component is there for what it does outside of the run: its steps always run."""

REQUIRES = "--requires"
"""With a line of a requirements file (`--requires=torch>=2.4`): what the component's own environment is to hold."""

CREATE_PVC, DELETE_PVC = "argostub/createpvc", "argostub/deletepvc"
"""The images of kfp-kubernetes' CreatePVC and DeletePVC, which are none: KFP's driver does what they stand for."""
