"""Equal proposals of one step: the first stays, whatever else is among them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gasp_env.episode.batch import Proposed, Told
from gasp_env.episode.turns import Judged, Verdict
from tests.players import python_task


def judged(key: str | None, parent: str | None) -> Judged:
    """A valid proposal with this fingerprint; a refused one without."""
    if key is None:
        return Judged(Verdict("no_program"), relevance=0.5)
    task = python_task(key, ((1,),), (2,), 1, "words", key, "lift", None, None, parent)
    return Judged(Verdict("valid"), task, 0.5)


PROPOSALS = st.lists(
    st.builds(judged, st.sampled_from([None, "a", "b", "c"]), st.sampled_from([None, "a"])), max_size=12
)


@given(PROPOSALS)
def test_each_task_is_kept_once_and_what_is_told_says_the_same(proposals: list[Judged]) -> None:
    batch = Proposed()
    settled = [batch.settle(0, one) for one in proposals]
    kept = [one.task.key for one in settled if one.task is not None]
    assert len(kept) == len(set(kept))
    assert set(kept) == {one.task.key for one in proposals if one.task is not None}
    assert [one.relevance for one in settled] == [one.relevance for one in proposals]
    for before, after in zip(proposals, settled, strict=True):
        if after != before:
            assert before.task is not None
            assert (after.verdict.reason, after.task, after.repeats) == ("duplicate", None, before.task.key)
    told = Told([one.repeats for one in settled])
    assert [told.settle(number, one) for number, one in enumerate(proposals)] == settled
