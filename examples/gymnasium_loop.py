"""A plain Gymnasium loop over one episode. Any function from a prompt to texts may replace this policy."""

import gymnasium as gym

from gasp_env import policies

policy = policies.get("scripted")
env = gym.make("gasp_env:GASP-Code-v0", render_mode="ansi")
observation, info = env.reset(seed=0)
terminated = truncated = False
while not (terminated or truncated):
    (texts,) = policies.answer(policy, "scripted", [observation["prompt"]], [observation["samples"]])
    observation, reward, terminated, truncated, info = env.step(texts)
    for credit in info["credits"]:
        print(f"turn {credit.turn} sample {credit.sample}: {credit.agent} {credit.reward} {credit.terms}")
print(env.render())
