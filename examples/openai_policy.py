"""A model behind any OpenAI-compatible server plays both roles: python openai_policy.py BASE_URL MODEL [SEED]."""

import os
import sys

import gymnasium as gym
from openai import OpenAI

base_url, model, seed = (*sys.argv[1:3], int(sys.argv[3]) if len(sys.argv) > 3 else 0)
client = OpenAI(base_url=base_url, api_key=os.environ.get("OPENAI_API_KEY", "none"))
env = gym.make("gasp_env:GASP-Code-v0", render_mode="ansi")
observation, info = env.reset(seed=seed)
terminated = truncated = False
while not (terminated or truncated):
    asked = [{"role": "user", "content": observation["prompt"]}]
    answer = client.chat.completions.create(model=model, messages=asked, n=int(observation["samples"]))
    # A server may return fewer choices than requested: the turn then continues with the remaining samples.
    texts = tuple(choice.message.content or "" for choice in answer.choices)
    observation, reward, terminated, truncated, info = env.step(texts)
    print(f"{len(texts)} texts: {', '.join(info['verdicts'])}")
print(env.render())
