"""Times mlx-lm on an MLX folder, on the CPU: a line of JSON for its version and one for each test.

The arguments are JSON (tests, each with prompt, gen and batch) and the folder. Rates are tokens of
all sequences per second. MLX computes quantised matrices in one thread, whatever is asked.
"""

import json
import sys
import time
from importlib.metadata import version

import mlx.core as mx
import numpy as np
from mlx_lm import load
from mlx_lm.models.cache import make_prompt_cache

FIRST_ID, LAST_ID = 300, 40_000
random = np.random.default_rng(0)


def prefill_and_decode(model, num_prompt, num_tokens, batch):
    """Seconds for the prompts, and for `num_tokens` tokens after them."""
    cache = make_prompt_cache(model)
    tokens = mx.array(random.integers(FIRST_ID, LAST_ID, (batch, num_prompt)))
    times = [time.perf_counter()]
    for _ in range(num_tokens + 1):
        tokens = mx.argmax(model(tokens, cache=cache)[:, -1:], axis=-1)
        mx.eval(tokens)
        times.append(time.perf_counter())
    return times[1] - times[0], times[-1] - times[1]


def main():
    request = json.loads(sys.argv[1])
    mx.set_default_device(mx.cpu)
    print(json.dumps({"version": f"{version('mlx-lm')}, mlx {version('mlx')}"}))
    model, _ = load(sys.argv[2])
    prefill_and_decode(model, 1, 1, 1)
    for test in request["tests"]:
        num_prompt, num_tokens, batch = test["prompt"], test["gen"], test["batch"]
        prefill, decode = prefill_and_decode(model, num_prompt, num_tokens, batch)
        rates = {"prefill": num_prompt * batch / prefill, "decode": num_tokens * batch / decode}
        print(json.dumps(test | rates), flush=True)


main()
