"""Two flips and their exclusive or, in the way of KFP's samples with conditions."""

from kfp import compiler, dsl


@dsl.component(base_image="python:3.11")
def flip(bias: str) -> str:
    return "heads" if bias == "heads" else "tails"


@dsl.component(base_image="python:3.11")
def say(text: str) -> str:
    print(text)
    return text


@dsl.pipeline(name="exclusive-or")
def both(left: str = "heads", right: str = "tails") -> str:
    first = flip(bias=left)
    second = flip(bias=right)
    with dsl.If(first.output == second.output):
        same = say(text="the same")
    with dsl.Else():
        other = say(text="one of them")
    return dsl.OneOf(same.output, other.output)


if __name__ == "__main__":
    compiler.Compiler().compile(both, __file__.replace(".py", ".yaml"))
