"""Graph shapes: one pipeline for each thing that KFP's pipelines can say."""

from pathlib import Path
from typing import List, NamedTuple, Optional  # noqa: UP035

from kfp import dsl, kubernetes

from contract.edges import *  # noqa: F403
from contract.steps import (
    append,
    count,
    describe,
    emit,
    fail,
    fail_for,
    fail_once,
    final,
    give,
    join,
    log_infinity,
    number,
    older,
    optional,
    read,
    read_all,
    repeat,
    sleep,
    structs,
    total,
    variable,
    write,
)

# --- conditions -------------------------------------------------------------------------------------


@dsl.pipeline
def branches(x: str = "a") -> str:
    with dsl.If(x == "a"):
        one = give(value="first")
    with dsl.Elif(x == "b"):
        two = give(value="second")
    with dsl.Else():
        three = give(value="third")
    return give(value=dsl.OneOf(one.output, two.output, three.output)).output


@dsl.pipeline
def artifact_branches(x: str = "a") -> str:
    with dsl.If(x == "a"):
        one = write(text="first")
    with dsl.Else():
        two = write(text="other")
    return read(data=dsl.OneOf(one.outputs["data"], two.outputs["data"])).output


@dsl.pipeline
def nested_conditions(n: int = 5):
    first = number(n=n)
    with dsl.If(first.output > 3):
        second = number(n=1)
        with dsl.If(second.output == 1):
            give(value="both")
        with dsl.If(second.output == 2):
            give(value="neither")
    with dsl.If(first.output > 100), dsl.If(first.output > 200):
        give(value="never")


@dsl.pipeline
def condition_types(flag: bool = True, ratio: float = 0.5, text: str = "{{ it }} $is 'so'"):
    with dsl.If(flag == True):  # noqa: E712
        give(value="flag")
    with dsl.If(ratio >= 0.5):
        give(value="ratio")
    with dsl.If(text != "a && b"):
        give(value="text")


@dsl.pipeline
def texts_in_conditions(text: str = 'it\'s {{ so }} \\new\nline "$(x)"'):
    with dsl.If(text == 'it\'s {{ so }} \\new\nline "$(x)"'):
        give(value="same")
    with dsl.Elif(text == "it's\\"):
        give(value="short")
    with dsl.Else():
        give(value="other")


@dsl.pipeline
def after_a_skipped(x: str = "b"):
    with dsl.If(x == "a"):
        skipped = give()
        give(value=skipped.output)
    give(value="independent")


# --- loops ------------------------------------------------------------------------------------------


@dsl.pipeline
def static_loop() -> str:
    with dsl.ParallelFor(["x", "y", "z"]) as item:
        each = give(value=item)
    return join(values=dsl.Collected(each.output)).output


@dsl.pipeline
def parameter_loop(items: List[str] = ["p", "q"]) -> str:  # noqa: UP006
    with dsl.ParallelFor(items, parallelism=1) as item:
        each = give(value=item)
    return join(values=dsl.Collected(each.output)).output


@dsl.pipeline
def output_loop(n: int = 3) -> int:
    with dsl.ParallelFor(emit(n=n).output) as item:
        each = number(n=item)
    return total(values=dsl.Collected(each.output)).output


@dsl.pipeline
def struct_loop() -> str:
    with dsl.ParallelFor([{"a": "1", "b": {"c": 2}}, {"a": "3", "b": {"c": 4}}]) as item:
        each = give(value=item.a)
        give(value=item.b)
    return join(values=dsl.Collected(each.output)).output


@dsl.pipeline
def nested_loops() -> str:
    with dsl.ParallelFor([1, 2]) as outer, dsl.ParallelFor(["a", "b"]) as inner:
        each = give(value=f"{outer}{inner}")
    return join(values=dsl.Collected(each.output)).output


@dsl.pipeline
def three_loops():
    with dsl.ParallelFor([1, 2]) as one, dsl.ParallelFor([1, 2]) as two, dsl.ParallelFor([1, 2]) as three:
        give(value=f"{one}{two}{three}")


@dsl.pipeline
def loop_over_a_field():
    with dsl.ParallelFor(structs().output) as item:
        give(value=item.name)
        with dsl.ParallelFor(item.sizes) as size:
            number(n=size)


@dsl.pipeline
def loop_of_artifacts() -> str:
    with dsl.ParallelFor(["one", "two"]) as item:
        written = write(text=item)
        read(data=written.outputs["data"])
    return read_all(data=dsl.Collected(written.outputs["data"])).output


@dsl.pipeline
def texts() -> List[dsl.Dataset]:  # noqa: UP006
    with dsl.ParallelFor(["m", "n"]) as item:
        written = write(text=item)
    return dsl.Collected(written.outputs["data"])


@dsl.pipeline
def loop_over_artifacts() -> str:
    with dsl.ParallelFor(texts().output) as item:
        each = read(data=item)
    return join(values=dsl.Collected(each.output)).output


@dsl.pipeline
def empty_loop() -> int:
    with dsl.ParallelFor(emit(n=0).output) as item:
        each = number(n=item)
    return total(values=dsl.Collected(each.output)).output


@dsl.pipeline
def loop_with_condition() -> str:
    with dsl.ParallelFor([1, 2, 3]) as item, dsl.If(item > 1):
        each = number(n=item)
    return join(values=dsl.Collected(each.output)).output


@dsl.pipeline
def loop_in_a_condition(x: str = "a"):
    with dsl.If(x == "a"), dsl.ParallelFor([1, 2]) as item:
        number(n=item)
    with dsl.If(x == "b"), dsl.ParallelFor([1, 2]) as item:
        number(n=item)


@dsl.pipeline
def failing_iteration():
    with dsl.ParallelFor(["a", "b", "c"]) as item:
        each = fail_for(value=item, bad="b")
        give(value=each.output)
    join(values=dsl.Collected(each.output))


@dsl.pipeline
def retries_in_a_loop(directory: str) -> str:
    with dsl.ParallelFor(["a", "b"]) as item:
        each = fail_once(directory=directory, name=item).set_retry(2, backoff_duration="0s")
    return join(values=dsl.Collected(each.output)).output


# --- failures, exit handlers, order -------------------------------------------------------------------


@dsl.pipeline
def failure():
    failed = fail()
    give(value=failed.output)
    give(value="independent")


@dsl.pipeline
def exit_after_success() -> str:
    ended = final()
    with dsl.ExitHandler(ended, name="guarded"):
        give()
    return give(value="after").output


@dsl.pipeline
def exit_after_failure():
    ended = final()
    with dsl.ExitHandler(ended):
        failed = fail()
        give(value=failed.output)


@dsl.pipeline
def exit_after_a_failing_loop():
    ended = final()
    with dsl.ExitHandler(ended), dsl.ParallelFor(["a", "b"]) as item:
        fail_for(value=item, bad="a")


@dsl.pipeline
def report():
    give(value="told")
    give(value="twice")


@dsl.pipeline
def pipeline_as_exit():
    ended = report()
    with dsl.ExitHandler(ended):
        fail()


@dsl.pipeline
def in_spite_of_failure():
    failed = fail()
    give(value="still").after(failed).ignore_upstream_failure()
    give(value=failed.output).ignore_upstream_failure()


@dsl.pipeline
def ordered(path: str) -> str:
    first = append(path=path, text="first")
    second = append(path=path, text="second").after(first)
    return append(path=path, text="third").after(first, second).output


@dsl.pipeline
def retried(directory: str) -> str:
    return fail_once(directory=directory).set_retry(1, backoff_duration="0s").output


@dsl.pipeline
def retried_in_vain():
    fail().set_retry(2, backoff_duration="0s")


@dsl.pipeline
def timed_out():
    kubernetes.set_timeout(sleep(seconds=60.0), 1)
    give()


# --- failures and skips beside what is still at work --------------------------------------------------


@dsl.pipeline
def exit_beside_work(path: str):
    ended = append(path=path, text="handler")
    with dsl.ExitHandler(ended):
        failed = fail()
        last = append(path=path, text="0")
        for number in range(1, 6):
            last = append(path=path, text=str(number)).after(last)
        give().after(failed, last)


@dsl.pipeline
def loop_beside_work(path: str):
    ended = append(path=path, text="handler")
    with dsl.ExitHandler(ended), dsl.ParallelFor(["a"]) as item:
        failed = fail_for(value=item, bad="a")
        last = append(path=path, text="0")
        for number in range(1, 6):
            last = append(path=path, text=str(number)).after(last)
        give().after(failed, last)


@dsl.pipeline
def give_twice(value: str):
    give(value=give(value=value).output)
    give(value="own")


@dsl.pipeline
def skipped_beside_work(value: str = "x", bad: str = "y") -> str:
    with dsl.If(value == ""):
        give(value="never")
    first = give(value=value)
    second = give(value=first.output)
    third = fail_for(value=second.output, bad=bad)
    last = give(value=third.output)
    give_twice(value=third.output)
    with dsl.ParallelFor([1]):
        give(value=third.output)
    with dsl.If(third.output == "x"):
        give(value=third.output)
    return last.output


# As the SDK does not let one write it: the last ones wait for the first condition too.
for _name in ("give-4", "give-twice", "for-loop-3", "condition-4"):
    skipped_beside_work.pipeline_spec.root.dag.tasks[_name].dependent_tasks.append("condition-1")


class Parts(NamedTuple):
    good: str
    bad: str


@dsl.pipeline
def outputs_beside_failure(x: str = "a") -> Parts:
    return Parts(good=give(value="good").output, bad=fail_for(value=x, bad="a").output)


# --- nested pipelines, optional inputs ------------------------------------------------------------------


class Both(NamedTuple):
    text: str
    data: dsl.Dataset


@dsl.pipeline
def inner(text: str = "inner", note: Optional[str] = None) -> Both:  # noqa: UP045
    written = write(text=text)
    told = optional(text=note)
    return Both(text=told.output, data=written.outputs["data"])


@dsl.pipeline
def nested_pipelines() -> str:
    one = inner()
    two = inner(text="outer", note="noted")
    read(data=one.outputs["data"])
    give(value=one.outputs["text"])
    give(value=two.outputs["text"])
    return read(data=two.outputs["data"]).output


@dsl.pipeline
def middle(text: str) -> str:
    return read(data=inner(text=text).outputs["data"]).output


@dsl.pipeline
def deeply_nested() -> str:
    with dsl.ParallelFor(["1", "22"]) as item:
        each = middle(text=item)
    return join(values=dsl.Collected(each.output)).output


@dsl.pipeline
def optional_inputs(text: Optional[str] = None) -> str:  # noqa: UP045
    optional()
    optional(count=1, data=write(text="x").outputs["data"])
    return optional(text=text).output


@dsl.pipeline
def optional_condition(text: Optional[str] = None):  # noqa: UP045
    with dsl.If(text == "given"):
        give(value="it was")
    give(value="always")


# --- artifacts, placeholders, settings ------------------------------------------------------------------


@dsl.pipeline
def artifacts() -> str:
    return read(data=write(text="content").outputs["data"]).output


@dsl.pipeline
def imported(uri: str, owner: str = "me") -> str:
    found = dsl.importer(artifact_uri=uri, artifact_class=dsl.Dataset, metadata={"owner": owner, "n": 3}, reimport=True)
    return describe(data=found.output).output


@dsl.pipeline
def templates(name: str = "World") -> str:
    told = give(value=f"Hello {name}!")
    return give(value=f"{told.output} ({name}) {dsl.PIPELINE_TASK_NAME_PLACEHOLDER}").output


class Facts(NamedTuple):
    job: str
    task: str
    root: str
    times: str


@dsl.pipeline
def placeholders() -> Facts:
    return Facts(
        job=give(value=f"{dsl.PIPELINE_JOB_NAME_PLACEHOLDER} {dsl.PIPELINE_JOB_ID_PLACEHOLDER}").output,
        task=give(value=dsl.PIPELINE_TASK_NAME_PLACEHOLDER).output,
        root=give(value=dsl.PIPELINE_ROOT_PLACEHOLDER).output,
        times=give(
            value=f"{dsl.PIPELINE_JOB_CREATE_TIME_UTC_PLACEHOLDER} {dsl.PIPELINE_JOB_SCHEDULE_TIME_UTC_PLACEHOLDER}"
        ).output,
    )


@dsl.pipeline
def environment() -> str:
    return variable(name="GREETING").set_env_variable("GREETING", "hi $HOME {{ x }}").output


@dsl.pipeline
def secrets(secret: str = "warehouse") -> str:
    told = variable(name="PASSWORD")
    kubernetes.use_secret_as_env(told, secret_name=secret, secret_key_to_env={"password": "PASSWORD"})
    limit = variable(name="ROWS")
    kubernetes.use_config_map_as_env(limit, config_map_name="limits", config_map_key_to_env={"rows": "ROWS"})
    return join(values=[told.output, limit.output]).output


@dsl.pipeline(pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi")))
def workspace() -> str:
    first = append(path=f"{dsl.WORKSPACE_PATH_PLACEHOLDER}/shared.txt", text="first")
    return append(path=f"{dsl.WORKSPACE_PATH_PLACEHOLDER}/shared.txt", text="second").after(first).output


# --- kinds of components ----------------------------------------------------------------------------------


@dsl.container_component
def shout(text: str, loud: dsl.OutputPath(str), suffix: str = None):  # noqa: RUF013
    return dsl.ContainerSpec(
        image="debian",
        command=["sh", "-c", 'printf "%s" "$1$3" | tr a-z A-Z > "$2"', "sh"],
        args=[text, loud, dsl.IfPresentPlaceholder("suffix", then=[dsl.ConcatPlaceholder(["-", suffix])], else_=["?"])],
    )


@dsl.container_component
def copy(data: dsl.Input[dsl.Dataset], copied: dsl.Output[dsl.Dataset]):
    return dsl.ContainerSpec(image="debian", command=["sh", "-ec"], args=[f"cp {data.path} {copied.path}"])


@dsl.pipeline
def containers() -> str:
    copied = copy(data=write(text="copied").outputs["data"])
    read(data=copied.outputs["copied"])
    shout(text="plain")
    return shout(text="text", suffix="more").outputs["loud"]


@dsl.component(base_image="python:3.11")
def light(text: str, data: dsl.Output[dsl.Dataset], n: int = 2) -> str:
    import ctypes

    libc = ctypes.CDLL(None)  # as a library's destructor that goes wrong, when all is done
    libc.__cxa_atexit(ctypes.cast(libc.abort, ctypes.c_void_p), None, None)
    with open(data.path, "w") as file:  # noqa: PTH123
        file.write(text * n)
    return text * n


@dsl.pipeline
def lightweight() -> str:
    made = light(text="ab")
    read(data=made.outputs["data"])
    return made.outputs["Output"]


@dsl.component(base_image="python:3.11", packages_to_install=["iniconfig==2.0.0"])
def with_package() -> str:
    import sys
    from importlib.metadata import version

    return f"{version('iniconfig')} {'pandas' in sys.modules} {sys.prefix}"


@dsl.pipeline
def packages() -> str:
    with_package()
    return with_package().set_caching_options(False).output


@dsl.pipeline
def requirements() -> str:
    older()
    return older().set_caching_options(False).output


class Outputs(NamedTuple):
    number: int
    ratio: float
    flag: bool
    items: list
    struct: dict
    data: dsl.Dataset


@dsl.component(base_image="python:3.11")
def outputs_of_all_types(data: dsl.Output[dsl.Dataset]) -> NamedTuple(
    "O", [("number", int), ("ratio", float), ("flag", bool), ("items", list), ("struct", dict)]
):
    with open(data.path, "w") as file:  # noqa: PTH123
        file.write("x")
    return (4, 0.5, False, [1, "a", None], {"k": [1.5, {"z": True}]})


@dsl.pipeline
def outputs() -> Outputs:
    made = outputs_of_all_types()
    return Outputs(
        number=made.outputs["number"],
        ratio=made.outputs["ratio"],
        flag=made.outputs["flag"],
        items=made.outputs["items"],
        struct=made.outputs["struct"],
        data=made.outputs["data"],
    )


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def tell(text: str, struct: dict, data: dsl.Output[dsl.Dataset]) -> str:
    data.metadata["text"] = text
    data.metadata["struct"] = struct
    with open(data.path, "w") as file:  # noqa: PTH123
        file.write(text)
    return text


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def told(data: dsl.Input[dsl.Dataset], text: str) -> dict:
    with open(data.path, newline="") as file:  # noqa: PTH123
        return {"read": file.read(), "metadata": data.metadata, "text": text}


@dsl.pipeline
def hostile(texts: List[str], struct: dict) -> list:  # noqa: UP006
    with dsl.ParallelFor(texts) as text:
        first = tell(text=text, struct=struct).set_display_name("<b>{{ name }}</b> $(x) '\"")
        second = give(value=first.outputs["Output"])
        third = told(data=first.outputs["data"], text=f"{second.output}")
    return dsl.Collected(third.output)


@dsl.notebook_component(
    notebook_path=str(Path(__file__).with_name("notebook.ipynb")),
    base_image="python:3.11",
    packages_to_install=["nbclient>=0.10,<1", "ipykernel>=6,<7"],
)
def in_a_notebook(path: str) -> str:
    dsl.run_notebook(path=path)
    with open(path) as file:  # noqa: PTH123
        return file.read()


@dsl.pipeline
def notebook(path: str) -> str:
    return in_a_notebook(path=path).output


# --- what starts whatever has failed, in groups -------------------------------------------------------


@dsl.pipeline
def always_in_a_loop():
    with dsl.ParallelFor(["a", "b"]) as item:
        failed = fail_for(value=item, bad="b")
        give(value=item).after(failed).ignore_upstream_failure()


@dsl.pipeline
def always_in_a_condition(x: str = "a"):
    with dsl.If(x == "a"):
        failed = fail()
        give(value="still").after(failed).ignore_upstream_failure()


@dsl.pipeline
def cleaned_up(x: str) -> str:
    made = fail_for(value=x, bad="b")
    return give(value="cleaned").after(made).ignore_upstream_failure().output


@dsl.pipeline
def always_in_a_pipeline(x: str = "a"):
    first = give(value=x)
    with dsl.If(first.output != "c"):
        inner = cleaned_up(x=first.output)
        give(value="after").after(inner)


# --- failures in loops in loops -------------------------------------------------------------------------


@dsl.pipeline
def failing_outer_iteration():
    with dsl.ParallelFor(["1", "2", "3"]) as item:
        checked = fail_for(value=item, bad="2")
        with dsl.ParallelFor(["a", "b"]) as letter:
            give(value=f"{checked.output}{letter}")
        give(value="after").after(checked)


@dsl.pipeline
def failing_inner_iteration():
    with dsl.ParallelFor(["x", "y"]):
        with dsl.ParallelFor(["x", "z"]) as letter:
            inner = fail_for(value=letter, bad="z")
        with dsl.ParallelFor(["u"]) as letter:
            other = give(value=letter)
        join(values=dsl.Collected(other.output))
        join(values=dsl.Collected(inner.output))


@dsl.pipeline
def after_an_inner_loop() -> int:
    with dsl.ParallelFor([{"n": 0}, {"n": 2}]) as item:
        some = emit(n=item.n)
        with dsl.ParallelFor(some.output) as n:
            each = number(n=n)
        both = total(values=dsl.Collected(each.output))
    return total(values=dsl.Collected(both.output)).output


# --- much -----------------------------------------------------------------------------------------------


@dsl.pipeline
def long_values() -> str:
    words = repeat(text="word", times=20000)
    with dsl.ParallelFor([3, 4]) as item:
        again = repeat(text=f"{item}", times=20000)
        counted = count(values=again.output)
    counted_words = count(values=words.output)
    with dsl.ParallelFor(repeat(text="x" * 30000, times=2).output) as text:
        give(value=text)
    lists = count(values=dsl.Collected(again.output))
    return join(values=dsl.Collected(counted.output)).after(counted_words, lists).output


# --- what JSON has not, and failures without a word -----------------------------------------------------


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def undefined(of: str) -> dict:
    return {"values": [1.5, float(of)]}


@dsl.container_component
def ratio(of: str, share: dsl.OutputPath(float)):
    return dsl.ContainerSpec(
        image="alpine", command=["sh", "-c", 'mkdir -p "$(dirname "$1")"; printf %s "$0" > "$1"'], args=[of, share]
    )


@dsl.container_component
def fail_without_a_word():
    return dsl.ContainerSpec(image="alpine", command=["sh", "-c", ': > "$TURNOUT_ERROR_FILE"; exit 3'])


@dsl.pipeline
def odd_outputs():
    give(value="a").after(undefined(of="nan"))
    give(value="b").after(undefined(of="-inf"))
    give(value="c").after(ratio(of="NaN"))
    give(value="d").after(ratio(of="0.5"))
    give(value="e").after(fail_without_a_word())
    give(value="f").after(log_infinity())
