"""More shapes: what KFP's files say at their edges. `contract.shapes` has them all by name."""

from typing import List, Optional  # noqa: UP035

from kfp import dsl, kubernetes

from contract.steps import append, give, join, optional, read, read_all, structs

# --- artifacts that a run is given ------------------------------------------------------------------------


@dsl.pipeline
def artifact_input(data: dsl.Input[dsl.Dataset]) -> str:
    return read(data=data).output


@dsl.pipeline
def optional_artifact_input(data: Optional[dsl.Input[dsl.Dataset]] = None, text: str = "t") -> str:  # noqa: UP045
    return optional(text=text, data=data).output


@dsl.pipeline
def artifact_inputs(data: dsl.Input[List[dsl.Dataset]]) -> str:  # noqa: UP006
    with dsl.ParallelFor(data) as item:
        each = read(data=item)
    read_all(data=data)
    return join(values=dsl.Collected(each.output)).output


# --- loops in groups, whose items texts alone use ---------------------------------------------------------


@dsl.pipeline
def text_of_items(items: List[str] = ["u", "v"], x: str = "a") -> str:  # noqa: UP006
    with dsl.If(x == "a"), dsl.ParallelFor(items) as item, dsl.If(x == "a"):
        give(value=f"<{item}-{x}>")
    with dsl.ExitHandler(give(value="exit")), dsl.ParallelFor(items) as item:
        give(value=f"<{item}>")
    return give().output


@dsl.pipeline
def text_of_fields(x: str = "a"):
    with dsl.ParallelFor([{"a": "1"}]) as item, dsl.If(x == "a"):
        give(value=f"<{item.a}>")
    made = structs()
    with dsl.If(x == "a"), dsl.ParallelFor(made.output) as item, dsl.If(x != "b"):
        give(value=f"<{item.sizes}-{x}>")
        with dsl.ParallelFor(["p"]) as inner:
            give(value=f"<{item.sizes}-{inner}>")


@dsl.pipeline
def its_own_items(items: List[str] = ["i"], x: str = "a"):  # noqa: UP006
    with dsl.If(x != "b"), dsl.ParallelFor(items) as item:
        give(value=f"<{item}-{x}>")


@dsl.pipeline
def text_in_a_pipeline(items: List[str] = ["u", "v"]):  # noqa: UP006
    with dsl.ParallelFor(items) as item:
        its_own_items(x=item)
        its_own_items()


# --- claims of volumes, which are no containers -------------------------------------------------------------


@dsl.pipeline
def claims() -> str:
    made = kubernetes.CreatePVC(access_modes=["ReadWriteOnce"], size="1Gi", pvc_name_suffix="-lines")
    first = append(path="/claim/lines", text="first").set_caching_options(False)
    second = append(path="/claim/lines", text="second").after(first)
    for task in (first, second):
        kubernetes.mount_pvc(task, pvc_name=made.outputs["name"], mount_path="/claim")
    kubernetes.DeletePVC(pvc_name=made.outputs["name"]).after(second)
    return second.output


# --- long names -------------------------------------------------------------------------------------------


@dsl.pipeline(name=f"inner-{'i' * 120}")
def innermost(text: str) -> str:
    with dsl.If(text != "b", name="g" * 250):
        give(value=text)
    return give(value=f"{text}-").output


@dsl.pipeline(name=f"middle-{'m' * 120}")
def in_the_middle(text: str) -> str:
    with dsl.ParallelFor(["1", "2"], name="l" * 250) as item:
        each = innermost(text=f"{text}{item}")
    return join(values=dsl.Collected(each.output)).output


@dsl.pipeline
def long_names() -> str:
    with dsl.ParallelFor(["a", "b"]) as item:
        each = in_the_middle(text=item)
    again = in_the_middle(text="c")
    joined = join(values=dsl.Collected(each.output))
    return give(value=f"{joined.output} {again.output}").output
