"""Teacher rewards compared: by training a policy with each, on a run that was made, or in a simulation.

    python -m benchmarks.teacher_rewards --policy miniature --tokens 600000 --rewards gasp frozen my_file.py:mine
    python -m benchmarks.teacher_rewards --rescore runs/NAME --rewards gasp azr_paper my_file.py:mine
    python -m benchmarks.teacher_rewards --simulate --rewards gasp azr_paper my_file.py:mine --seeds 5

`train` is about the first, `rescore` about the second. The rest is about the third.

SIMULATION: rewards compared in a world made of formulas, in seconds and without a model. The game is the real one:
`gasp_env.episode.machine.Episode`, parser, gate, judge, library, admission, teacher and solver rewards, and the
advantages of `learners`. Simulated are the two policies and the execution of programs.

Assumptions
-----------
1. *Item-response model.* A task is a point (skill s, difficulty d). The student solves it with probability
   ``p = sigmoid(ability[s] - d)``, whatever the kind of task, and never answers malformed.
2. *Learning is REINFORCE on that model*, on the answers the game trains on. For one answer, y = 1 if right,
   ``d log P(y) / d ability[s] = y - p``, so that a task of success rate p moves ability by
   ``p (1-p) (r_right - r_wrong)`` in expectation: nothing at p = 0 and p = 1, most at p = 1/2. A reward peaked at
   1/2 is therefore favoured *by construction*.
3. *Transfer.* Skills lie on a ring. Practice of one moves its neighbours by a Gaussian kernel. Easy tasks teach
   what hard ones of the same skill need: there is nothing to a hard task but more of the same ability. A single task
   is soon known by heart and then teaches little, so that old tasks cannot be practised for ever.
4. *Goalposts* are tasks of the skills the student starts weakest in, at p < 0.03.
5. *The teacher* draws the difficulty of a lemma relative to its goalpost, of a lift relative to its lemma, from a
   Gaussian, and a drift of skill from a categorical. An unguided proposer draws both relative to the tasks it is
   shown. It learns by REINFORCE on standardised rewards. It does not see the student's ability. Where it begins
   (``--start``) decides much: from easy lemmas a teacher that never learns runs out of use, from hard ones the student
   grows into its range.
6. *Invalid proposals* become likelier with difficulty; a text already accepted is rejected by the real gate.
7. *Texts.* Tasks of one skill and variant read alike, others do not; all programs have one structure. Rewards that need
   an embedder or a measure of relevance are refused.

What must not be concluded
--------------------------
Which teacher reward is better for language models. Assumptions 2 and 3 decide much of the ranking, numbers of steps and
learning rates the rest. What a simulation can show: that a reward and its plumbing work, that a reward cannot steer a
teacher at all with n attempts, or that it steers it to tasks the curriculum does not accept.
"""
