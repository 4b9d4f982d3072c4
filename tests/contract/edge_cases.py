"""The cases of `contract.edges`."""

from __future__ import annotations

from contract.case import Case, F, S, out

LONG_LOOP = f"{'l' * 31}-21599af4"
LONG_INNER = f"inner-{'i' * 25}-8895c80b"
LONG_IF = f"{'g' * 31}-cd464a3e"
LONG_MIDDLE = {"for-loop-2.": f"middle-{'m' * 24}-68d4c125", "": f"middle-{'m' * 24}-fd8db80f"}

EDGE_CASES = [
    Case("artifact_input", {"read": S}, out("here None"), {"data": "{directory}/here.txt"}),
    Case("artifact_input", {"read": F}, parameters={"data": "{directory}/nowhere"}, state=F, name="gone"),
    Case("optional_artifact_input", {"optional": S}, out("t 7 False")),
    Case(
        "optional_artifact_input",
        {"optional": S},
        out("t 7 True"),
        {"data": "file://{directory}/here.txt"},
        name="given",
    ),
    Case(
        "artifact_inputs",
        {"read-all": S, "join": S} | {f"for-loop-1.read[{i}]": S for i in (0, 1)},
        out("here None here None"),
        {"data": ["{directory}/here.txt", "{directory}/here.txt"]},
        values={"read-all": "here here"},
    ),
    Case(
        "text_of_items",
        {f"condition-1.for-loop-2.condition-3.give[{i}]": S for i in (0, 1)}
        | {f"exit-handler-4.for-loop-5.give-3[{i}]": S for i in (0, 1)}
        | {"give-2": S, "give-4": S},
        out("v"),
        values={"condition-1.for-loop-2.condition-3.give[1]": "<v-a>", "exit-handler-4.for-loop-5.give-3[0]": "<u>"},
    ),
    Case(
        "text_of_fields",
        {"structs": S, "for-loop-2.condition-3.give[0]": S}
        | {f"condition-4.for-loop-5.condition-6.give-2[{i}]": S for i in range(3)}
        | {f"condition-4.for-loop-5.condition-6.for-loop-8.give-3[{i}, 0]": S for i in range(3)},
        values={
            "for-loop-2.condition-3.give[0]": "<1>",
            "condition-4.for-loop-5.condition-6.give-2[0]": "<[1, 2]-a>",
            "condition-4.for-loop-5.condition-6.for-loop-8.give-3[2, 0]": "<[3]-p>",
        },
    ),
    Case(
        "text_in_a_pipeline",
        {f"for-loop-1.its-own-items{n}.condition-1.for-loop-2.give[{i}, 0]": S for i in (0, 1) for n in ("", "-2")},
        values={
            "for-loop-1.its-own-items.condition-1.for-loop-2.give[1, 0]": "<i-v>",
            "for-loop-1.its-own-items-2.condition-1.for-loop-2.give[1, 0]": "<i-a>",
        },
    ),
    Case(
        "long_names",
        {
            f"for-loop-2.{LONG_MIDDLE['for-loop-2.']}.{LONG_LOOP}.{LONG_INNER}.{step}[{i}, {j}]": S
            for i in (0, 1)
            for j in (0, 1)
            for step in (f"{LONG_IF}.give", "give-2")
        }
        | {f"for-loop-2.{LONG_MIDDLE['for-loop-2.']}.join[{i}]": S for i in (0, 1)}
        | {
            f"{LONG_MIDDLE['']}.{LONG_LOOP}.{LONG_INNER}.{step}[{i}]": S
            for i in (0, 1)
            for step in (f"{LONG_IF}.give", "give-2")
        }
        | {f"{LONG_MIDDLE['']}.join": S, "join": S, "give": S},
        out("a1- a2- b1- b2- c1- c2-"),
    ),
]

CLAIMS = Case(
    "claims",
    {"createpvc": S, "append": S, "append-2": S, "deletepvc": S},
    out("first\nsecond\n"),
)
"""Of the runtimes that have volumes."""
