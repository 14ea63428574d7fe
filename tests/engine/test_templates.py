"""Templates: expressions in texts, rendered once, where they are said to be and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.engine.templates import Template
from streamer.errors import CallFailed

ITEM = {"q": "why?", "n": 2.0, "l": [1, None, True, 2.5], "o": {"a": "é<"}, "items": [9], "x{{": 1}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def rendered(form, **names):
    names = names or {"item": ITEM, "index": 3}
    return Template(form, names).render(names)


@given(JSON)
def test_a_text_that_is_exactly_one_expression_becomes_the_value_itself(value):
    for text in ("{{ item }}", "{{item}}", "{{ here.there[0] }}"):
        found = rendered(text, item=value, here={"there": [value]})
        assert found is value or (found == value and type(found) is type(value))


@given(JSON)
def test_what_has_no_template_in_it_is_itself(value):
    """Braces that open nothing are text."""
    if "{{" not in repr(value):
        assert Template({"prompt": value}, ()).render({})["prompt"] is value


@given(st.text().filter(lambda text: "{{" not in text), JSON)
def test_what_was_inserted_is_not_rendered_again(text, value):
    evil = "{{ item }}"
    assert rendered(f"{text} {{{{ item }}}}", item=evil) == f"{text} {evil}"
    assert rendered({"a": "{{ item }}"}, item=[evil, value]) == {"a": [evil, value]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ item.q }} ({{ index }})", "why? (3)"),
        ("{{ item.l }} of {{ item.o }}", '[1,null,true,2.5] of {"a":"é<"}'),
        (" {{ item.o }}", ' {"a":"é<"}'),
        ("{{ item.q }}{{ index }}", "why?3"),
        ("{{ index + 1 }}", 4),
        ("{{ index > 2 }}", True),
        ("{{ item.q | upper }}", "WHY?"),
        ("{{ [item.o, index] }}", [{"a": "é<"}, 3]),
        ("{{ {'a': item.l} }}", {"a": [1, None, True, 2.5]}),
        ("{{ item.l | length }}", 4),
        ("{{ item.l[1:3] }}", [None, True]),
        ("{{ item.items }}", [9]),
        ("{{ item['x{{'] }}", 1),
        ("{{ item.missing | default('none') }}", "none"),
        ("{{ 'yes' if item.q else 'no' }}", "yes"),
        ("{{ '{{' }} {% if %} {# text #}\n", "{{ {% if %} {# text #}\n"),
        ("}} {{ item.q }}\n", "}} why?\n"),
    ],
)
def test_expressions(text, value):
    found = rendered(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{ nope }}", "Unknown name nope in a template; there are index, item"),
        ("a {{ item", "unexpected end of input"),
        ("{{ item ? }}", "can't be rendered"),
        ("{{ range(3) }}", "Unknown name range"),
        ("{{ debug() }}", "Unknown name debug"),
    ],
)
def test_what_is_malformed_or_names_the_unknown_is_refused_when_it_is_made(text, words):
    with pytest.raises(CallFailed, match=r" - at `\$\.messages\[0\]\.content`") as caught:
        Template({"messages": [{"content": text}]}, {"item", "index"})
    assert words in str(caught.value)
    assert caught.value.category == "invalid_request"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{ item.missing }}", "`item.missing` is undefined"),
        ("a {{ item.missing.more }}", "undefined"),
        ("{{ item.l[9] }}", "`item.l[9]` is undefined"),
        ("{{ item.q + 1 }}", "can't be rendered"),
        ("{{ item | nothing }}", "filter nothing is unknown"),
        ("{{ item.keys }}", "is no value"),
        ("{{ item.clear() }}", "no attribute 'clear'"),
        ("{{ item.l.append(1) }}", "no attribute 'append'"),
        ("{{ item.__class__ }}", "undefined"),
        ("{{ item._value }}", "undefined"),
        ("{{ item.q.format(1) }}", "can't be rendered"),
        ("{{ '%0999999999d' | format(1) }}", "format is unknown"),
        ("{{ 'x' * 99999999999 }}", "too large"),
        ("{{ 9 ** 9 ** 9 }}", "can't be rendered"),
    ],
)
def test_what_the_values_lack_or_templates_must_not_do_is_refused_when_it_is_rendered(text, words):
    with pytest.raises(CallFailed, match=r" - at `\$\.prompt`") as caught:
        rendered({"prompt": text})
    assert words in str(caught.value)
    assert ITEM["l"] == [1, None, True, 2.5]


def test_of_pythons_objects_nothing_is_seen():
    """They pass through whole, and that is all."""

    class Object:
        secret = "s"

        def act(self):
            raise AssertionError("called")

    thing = Object()
    assert rendered("{{ item }}", item=thing) is thing
    for text in ("{{ item.secret }}", "{{ item.act() }}", "a {{ item }}"):
        with pytest.raises(CallFailed):
            rendered(text, item=thing)


def test_the_task_of_a_map_within_is_left_to_that_map_and_its_items_are_not():
    inner = {"kind": "map", "items": "{{ item.l }}", "task": {"kind": "llm", "prompt": "{{ item }}"}}
    form = {"kind": "parallel", "tasks": {"a": inner}}
    assert rendered(form)["tasks"]["a"] == {**inner, "items": ITEM["l"]}


def test_but_it_is_judged_with_the_rest():
    inner = {"kind": "map", "items": [], "task": {"kind": "llm", "prompt": "{{ itm }}"}}
    with pytest.raises(CallFailed, match=r"at `\$\.tasks\[0\]\.task\.prompt`"):
        Template({"kind": "race", "tasks": [inner]}, {"item", "index"})


def test_what_only_looks_like_a_task_is_rendered_as_a_value():
    data = {"kind": "function", "name": "f", "arguments": {"x": {"kind": "map", "task": "{{ index }}"}}}
    assert rendered(data)["arguments"]["x"] == {"kind": "map", "task": 3}


def test_the_steps_of_a_workflow_within_are_left_to_the_workflow():
    flow = {"kind": "workflow", "inputs": {"a": "{{ item.q }}"}, "output": "{{ previous }}"}
    flow["steps"] = [{"id": "s", "task": {"kind": "llm", "prompt": "{{ inputs.a }}"}}]
    assert rendered(flow) == {**flow, "inputs": {"a": "why?"}}
