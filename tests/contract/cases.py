"""What every track must make of the shapes: how the run ends, its outputs, and its steps' states."""

from __future__ import annotations

from contract.case import NOT, SKIPPED, Case, F, S, filled, out
from contract.edge_cases import CLAIMS, EDGE_CASES

__all__ = ["CASES", "CLAIMS", "Case", "filled"]

BRANCHES = "condition-branches-1"


CASES = [
    *(
        Case(
            "branches",
            {
                f"{BRANCHES}.condition-2.give": S if x == "a" else SKIPPED,
                f"{BRANCHES}.condition-3.give-2": S if x == "b" else SKIPPED,
                f"{BRANCHES}.condition-4.give-3": S if x == "c" else SKIPPED,
                "give-4": S,
            },
            out(text),
            {"x": x},
            name=x,
        )
        for x, text in (("a", "first"), ("b", "second"), ("c", "third"))
    ),
    Case(
        "artifact_branches",
        {f"{BRANCHES}.condition-2.write": SKIPPED, f"{BRANCHES}.condition-3.write-2": S, "read": S},
        out("other 5"),
        {"x": "z"},
    ),
    Case(
        "nested_conditions",
        {
            "number": S,
            "condition-1.number-2": S,
            "condition-1.condition-2.give": S,
            "condition-1.condition-3.give-2": SKIPPED,
            "condition-4.condition-5.give-3": SKIPPED,
        },
    ),
    Case("condition_types", {"condition-1.give": S, "condition-2.give-2": S, "condition-3.give-3": S}),
    Case(
        "condition_types",
        {"condition-1.give": SKIPPED, "condition-2.give-2": SKIPPED, "condition-3.give-3": SKIPPED},
        parameters={"flag": False, "ratio": 0.25, "text": "a && b"},
        name="false",
    ),
    *(
        Case(
            "texts_in_conditions",
            {
                f"{BRANCHES}.condition-2.give": S if name == "same" else SKIPPED,
                f"{BRANCHES}.condition-3.give-2": S if name == "short" else SKIPPED,
                f"{BRANCHES}.condition-4.give-3": S if name == "other" else SKIPPED,
            },
            parameters=parameters,
            name=name,
        )
        for name, parameters in (("same", {}), ("short", {"text": "it's\\"}), ("other", {"text": "it's"}))
    ),
    Case("after_a_skipped", {"condition-1.give": SKIPPED, "condition-1.give-2": SKIPPED, "give-3": S}),
    Case("static_loop", {f"for-loop-2.give[{i}]": S for i in range(3)} | {"join": S}, out("x y z")),
    Case("parameter_loop", {f"for-loop-1.give[{i}]": S for i in range(2)} | {"join": S}, out("p q")),
    Case(
        "parameter_loop",
        {"for-loop-1.give[0]": S, "join": S},
        out("{{$.pipeline_root}} '\"\n$(x)"),
        {"items": ["{{$.pipeline_root}} '\"\n$(x)"]},
        name="one",
    ),
    Case("output_loop", {"emit": S, "total": S} | {f"for-loop-1.number[{i}]": S for i in range(3)}, out(3)),
    Case(
        "struct_loop",
        {f"for-loop-2.{step}[{i}]": S for i in range(2) for step in ("give", "give-2")} | {"join": S},
        out("1 3"),
        values={"for-loop-2.give-2[1]": '{"c": 4}'},
    ),
    Case(
        "nested_loops",
        {f"for-loop-2.for-loop-4.give[{i}, {j}]": S for i in range(2) for j in range(2)} | {"join": S},
        out("['1a', '1b'] ['2a', '2b']"),
    ),
    Case(
        "three_loops",
        {
            f"for-loop-2.for-loop-4.for-loop-6.give[{i}, {j}, {k}]": S
            for i in range(2)
            for j in range(2)
            for k in range(2)
        },
        values={"for-loop-2.for-loop-4.for-loop-6.give[1, 0, 1]": "212"},
    ),
    Case(
        "loop_over_a_field",
        {"structs": S}
        | {f"for-loop-1.give[{i}]": S for i in range(3)}
        | {f"for-loop-1.for-loop-2.number[{i}, {j}]": S for i, j in ((0, 0), (0, 1), (2, 0))},
        values={"for-loop-1.for-loop-2.number[2, 0]": 3},
    ),
    Case(
        "loop_of_artifacts",
        {f"for-loop-2.{step}[{i}]": S for i in range(2) for step in ("write", "read")} | {"read-all": S},
        out("one two"),
        values={"for-loop-2.read[1]": "two 3"},
    ),
    Case(
        "loop_over_artifacts",
        {f"texts.for-loop-2.write[{i}]": S for i in range(2)}
        | {f"for-loop-1.read[{i}]": S for i in range(2)}
        | {"join": S},
        out("m 1 n 1"),
    ),
    Case("empty_loop", {"emit": S, "total": S}, out(0)),
    Case(
        "loop_with_condition",
        {"for-loop-2.condition-3.number[0]": SKIPPED, "join": S}
        | {f"for-loop-2.condition-3.number[{i}]": S for i in (1, 2)},
        out("2 3"),
    ),
    Case(
        "loop_in_a_condition",
        {
            "condition-1.for-loop-3.number[0]": S,
            "condition-1.for-loop-3.number[1]": S,
            "condition-4.for-loop-6.number-2": SKIPPED,
        },
    ),
    Case(
        "failing_iteration",
        {f"for-loop-2.{step}[{i}]": S for i in (0, 2) for step in ("fail-for", "give")}
        | {"for-loop-2.fail-for[1]": F, "for-loop-2.give[1]": NOT, "join": NOT},
        state=F,
    ),
    Case(
        "retries_in_a_loop",
        {"for-loop-2.fail-once[0]": S, "for-loop-2.fail-once[1]": S, "join": S},
        out("a again b again"),
        {"directory": "{directory}"},
    ),
    Case(
        "odd_outputs",
        {"undefined": F, "undefined-2": F, "ratio": F, "ratio-2": S, "fail-without-a-word": F, "log-infinity": F}
        | {"give": NOT, "give-2": NOT, "give-3": NOT, "give-4": S, "give-5": NOT, "give-6": NOT},
        state=F,
    ),
    Case("failure", {"fail": F, "give": NOT, "give-2": S}, state=F),
    Case(
        "exit_after_success",
        {"guarded.give": S, "final": S, "give-2": S},
        out("after"),
        values={"final": "exit-handler-1 SUCCEEDED False"},
    ),
    Case(
        "exit_after_failure",
        {"exit-handler-1.fail": F, "exit-handler-1.give": NOT, "final": S},
        state=F,
        values={"final": "exit-handler-1 FAILED True"},
    ),
    Case(
        "exit_after_a_failing_loop",
        {"exit-handler-1.for-loop-3.fail-for[0]": F, "exit-handler-1.for-loop-3.fail-for[1]": S, "final": S},
        state=F,
        values={"final": "exit-handler-1 FAILED True"},
    ),
    Case(
        "exit_beside_work",
        {f"exit-handler-1.append-{i}": S for i in range(2, 8)}
        | {"exit-handler-1.fail": F, "exit-handler-1.give": NOT, "append": S},
        parameters={"path": "{directory}/lines"},
        state=F,
        values={"append": "0\n1\n2\n3\n4\n5\nhandler\n"},
    ),
    Case(
        "loop_beside_work",
        {f"exit-handler-1.for-loop-3.append-{i}[0]": S for i in range(2, 8)}
        | {"exit-handler-1.for-loop-3.fail-for[0]": F, "exit-handler-1.for-loop-3.give[0]": NOT, "append": S},
        parameters={"path": "{directory}/lines"},
        state=F,
        values={"append": "0\n1\n2\n3\n4\n5\nhandler\n"},
    ),
    *(
        Case(
            "skipped_beside_work",
            {"condition-1.give": SKIPPED, "give-2": S, "give-3": S, "fail-for": slow}
            | {"give-4": last, "for-loop-3.give-5": last, "condition-4.give-6": last}
            | {f"give-twice.{step}": last for step in ("give", "give-2", "give-3")},
            parameters={"bad": bad},
            state=state,
            name=bad,
        )
        for bad, slow, last, state in (("y", S, SKIPPED, S), ("x", F, NOT, F))
    ),
    *(
        Case(
            "outputs_beside_failure",
            {"give": S, "fail-for": made},
            {"good": "good"} | bad,
            {"x": x},
            state=made,
            name=x,
        )
        for x, made, bad in (("a", F, {}), ("b", S, {"bad": "b"}))
    ),
    Case("pipeline_as_exit", {"exit-handler-1.fail": F, "report.give": S, "report.give-2": S}, state=F),
    Case(
        "in_spite_of_failure",
        {"fail": F, "give": S, "give-2": S},
        state=F,
        values={"give": "still", "give-2": "v"},
    ),
    Case(
        "ordered",
        {"append": S, "append-2": S, "append-3": S},
        out("first\nsecond\nthird\n"),
        {"path": "{directory}/lines"},
    ),
    Case("retried", {"fail-once": S}, out("x again"), {"directory": "{directory}"}),
    Case("retried_in_vain", {"fail": F}, state=F),
    Case("timed_out", {"sleep": F, "give": S}, state=F),
    Case(
        "nested_pipelines",
        {f"{name}.{step}": S for name in ("inner", "inner-2") for step in ("write", "optional")}
        | {"read": S, "read-2": S, "give": S, "give-2": S},
        out("outer 5"),
        values={"give": "None 7 False", "give-2": "noted 7 False"},
    ),
    Case(
        "deeply_nested",
        {f"for-loop-2.middle.{step}[{i}]": S for i in range(2) for step in ("inner.write", "inner.optional", "read")}
        | {"join": S},
        out("1 1 22 2"),
    ),
    Case(
        "optional_inputs",
        {"optional": S, "optional-2": S, "optional-3": S, "write": S},
        out("None 7 False"),
        values={"optional-2": "None 1 True"},
    ),
    Case(
        "optional_inputs",
        {"optional": S, "optional-2": S, "optional-3": S, "write": S},
        out("t 7 False"),
        {"text": "t"},
        name="given",
    ),
    Case("optional_condition", {"condition-1.give": SKIPPED, "give-2": S}),
    Case("optional_condition", {"condition-1.give": S, "give-2": S}, parameters={"text": "given"}, name="given"),
    Case("artifacts", {"write": S, "read": S}, out("content 7")),
    Case(
        "imported",
        {"importer": S, "describe": S},
        out('here {"n": 3, "owner": "me"}'),
        {"uri": "{directory}/here.txt"},
    ),
    Case("imported", {"importer": F, "describe": NOT}, parameters={"uri": "{directory}/nowhere"}, state=F, name="gone"),
    Case("templates", {"give": S, "give-2": S}, out("Hello World! (World) give-2")),
    Case("templates", {"give": S, "give-2": S}, out("Hello {{$}}! ({{$}}) give-2"), {"name": "{{$}}"}, name="hostile"),
    Case(
        "placeholders",
        {"give": S, "give-2": S, "give-3": S, "give-4": S},
        lambda found: (
            found["job"].startswith("placeholders-")
            and found["task"] == "give-2"
            and "{{" not in "".join(found.values())
            and found["times"].count("T") == 2
        ),
    ),
    Case("environment", {"variable": S}, out("hi $HOME {{ x }}")),
    Case("secrets", {"variable": S, "variable-2": S, "join": S}, out("hush 10")),
    Case("workspace", {"append": S, "append-2": S}, out("first\nsecond\n")),
    Case(
        "containers",
        {"write": S, "copy": S, "read": S, "shout": S, "shout-2": S},
        out("TEXT-MORE"),
        values={"read": "copied None"},
    ),
    Case("lightweight", {"light": S, "read": S}, out("abab"), values={"read": "abab None"}),
    Case(
        "packages",
        {"with-package": S, "with-package-2": S},
        lambda found: found["Output"].startswith("2.0.0 False ") and "/environments/" in found["Output"],
    ),
    Case(
        "requirements",
        {"older": S, "older-2": S},
        lambda found: found["Output"].startswith("2.0.0 True ") and "/environments/" in found["Output"],
    ),
    Case(
        "outputs",
        {"outputs-of-all-types": S},
        lambda found: (
            {key: value for key, value in found.items() if key != "data"}
            == {"number": 4, "ratio": 0.5, "flag": False, "items": [1, "a", None], "struct": {"k": [1.5, {"z": True}]}}
            and found["data"]["type"] == "system.Dataset"
        ),
    ),
    Case(
        "always_in_a_loop",
        {f"for-loop-2.give[{i}]": S for i in (0, 1)} | {"for-loop-2.fail-for[0]": S, "for-loop-2.fail-for[1]": F},
        state=F,
    ),
    Case("always_in_a_condition", {"condition-1.fail": F, "condition-1.give": S}, state=F),
    Case(
        "always_in_a_condition",
        {"condition-1.fail": SKIPPED, "condition-1.give": SKIPPED},
        parameters={"x": "b"},
        name="skipped",
    ),
    *(
        Case(
            "always_in_a_pipeline",
            {
                "give": S,
                "condition-1.cleaned-up.fail-for": made,
                "condition-1.cleaned-up.give": cleaned,
                "condition-1.give-2": after,
            },
            parameters={"x": x},
            state=state,
            name=x,
        )
        for x, made, cleaned, after, state in (
            ("a", S, S, S, S),
            ("b", F, S, NOT, F),
            ("c", SKIPPED, SKIPPED, SKIPPED, S),
        )
    ),
    Case(
        "failing_outer_iteration",
        {f"for-loop-2.{step}[{i}]": S for step in ("fail-for", "give-2") for i in (0, 2)}
        | {f"for-loop-2.for-loop-4.give[{i}, {j}]": S for i in (0, 2) for j in (0, 1)}
        | {"for-loop-2.fail-for[1]": F, "for-loop-2.for-loop-4.give[1]": NOT, "for-loop-2.give-2[1]": NOT},
        state=F,
        values={"for-loop-2.for-loop-4.give[2, 1]": "3b"},
    ),
    Case(
        "failing_inner_iteration",
        {f"for-loop-2.for-loop-4.fail-for[{i}, {j}]": F if j else S for i in (0, 1) for j in (0, 1)}
        | {f"for-loop-2.for-loop-6.give[{i}, 0]": S for i in (0, 1)}
        | {f"for-loop-2.join[{i}]": S for i in (0, 1)}
        | {f"for-loop-2.join-2[{i}]": NOT for i in (0, 1)},
        state=F,
    ),
    Case(
        "after_an_inner_loop",
        {f"for-loop-2.{step}[{i}]": S for step in ("emit", "total") for i in (0, 1)}
        | {f"for-loop-2.for-loop-3.number[1, {i}]": S for i in (0, 1)}
        | {"total-2": S},
        out(1),
        values={"for-loop-2.total[0]": 0, "for-loop-2.total[1]": 1},
    ),
    Case(
        "long_values",
        {"repeat": S, "count-2": S, "repeat-3": S, "count-3": S, "join": S}
        | {f"for-loop-2.{step}[{i}]": S for step in ("repeat-2", "count") for i in (0, 1)}
        | {f"for-loop-3.give[{i}]": S for i in (0, 1)},
        out("20000 20000"),
        values={"count-2": 20000, "count-3": 2},
    ),
    Case("notebook", {"in-a-notebook": S}, out("from a notebook"), {"path": "{directory}/written"}),
    *EDGE_CASES,
]
