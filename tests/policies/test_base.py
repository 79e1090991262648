"""The protocol: values that mean what they say."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import pytest

from gasp_env.policies import Completion, CutOff, Lost, Policy, Sampling, get


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"temperature": -0.5}, "expected temperature to be a number of at least 0, got -0.5"),
        ({"temperature": float("nan")}, "expected temperature .* got nan"),
        ({"top_p": 0.0}, "expected top_p to be a share above 0 and up to 1, got 0.0"),
        ({"top_p": 1.5}, "expected top_p .* got 1.5"),
        ({"max_tokens": 0}, "expected max_tokens to be an integer of at least 1, got 0"),
        ({"seed": -1}, "expected seed to be an integer of at least 0, or None, got -1"),
    ],
)
def test_a_sampling_out_of_range_is_refused(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        Sampling(**options)


def test_every_call_has_a_seed_of_its_own():
    sampling = Sampling(0.5, seed=7)
    seeds = [sampling.call(number).seed for number in range(100)]
    assert seeds[0] == 7
    assert len(set(seeds)) == 100
    assert [sampling.call(number).seed for number in range(100)] == seeds
    assert {sampling.call(number).temperature for number in range(3)} == {0.5}
    assert Sampling(seed=8).call(1).seed not in seeds
    assert Sampling().call(3) == Sampling()


def test_what_was_cut_off_is_a_text_of_its_own_class():
    cut, whole = Completion("x = 1", stop="length").submission, Completion("x = 1").submission
    assert (cut, whole) == ("x = 1", "x = 1")
    assert (type(cut), type(whole)) == (CutOff, str)


def test_a_text_that_could_not_be_generated_is_empty_and_of_its_own_class():
    for made in (Lost("gone"), copy.deepcopy(Lost("gone")), pickle.loads(pickle.dumps(Lost("gone")))):  # noqa: S301
        assert (made, type(made), made.reason) == ("", Lost, "gone")
        assert Completion(made, stop="lost").submission is made
    assert type(Completion("x", stop="lost").submission) is Lost
    assert Lost().reason


def test_a_policy_is_known_by_its_parts():
    assert isinstance(get("scripted"), Policy)
    assert not isinstance(3, Policy)


def test_the_protocol_needs_no_torch():
    done = subprocess.run(
        [sys.executable, "-c", "import sys, gasp_env.play; print({'torch', 'learners'} & set(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "set()"
