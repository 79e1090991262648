"""A PettingZoo loop over one episode. Each agent may have a policy of its own instead of this shared one."""

from gasp_env import policies
from gasp_env.envs import aec

policy = policies.get("scripted")
env = aec.env()
env.reset(seed=0)
for agent in env.agent_iter():
    observation, reward, terminated, truncated, info = env.last()
    print(f"{agent:9}  {info.get('stage', 'over'):7}  reward since it acted last {reward:+.3f}")
    if terminated or truncated:
        env.step(None)
    else:
        env.step(policies.answer(policy, "scripted", [observation["prompt"]], [observation["samples"]])[0])
