"""Times OpenVINO GenAI on a GGUF file: a line of JSON for its version and one for each test.

The arguments are JSON (threads, pipeline, which is "single" or "batched", and tests, each with
prompt, gen and batch) and the file. Rates are tokens of all sequences per second.
"""

import json
import sys
import time

import numpy as np
import openvino as ov
import openvino_genai as genai

FIRST_ID, LAST_ID = 300, 40_000
random = np.random.default_rng(0)


def prompts(num_tokens, batch):
    return random.integers(FIRST_ID, LAST_ID, (batch, num_tokens), dtype=np.int64)


def config(num_tokens):
    result = genai.GenerationConfig()
    result.max_new_tokens = num_tokens
    result.ignore_eos = True
    result.do_sample = False
    result.apply_chat_template = False
    return result


class Single:
    """The pipeline for one user: stateful, a batch is one tensor."""

    def __init__(self, model, threads):
        self.pipeline = genai.LLMPipeline(
            model, "CPU", INFERENCE_NUM_THREADS=threads, ATTENTION_BACKEND="SDPA"
        )

    def times(self, ids, num_tokens):
        """Seconds until every sequence has a token, and for all the others."""
        metrics = self.pipeline.generate(ov.Tensor(ids), config(num_tokens)).perf_metrics
        at = list(metrics.raw_metrics.m_new_token_times)
        return metrics.get_ttft().mean / 1e3, (at[-1] - at[0]) / 1e3, num_tokens - 1


class Batched:
    """The pipeline of its server: paged cache, continuous batching."""

    def __init__(self, model, threads):
        scheduler = genai.SchedulerConfig()
        # A cached prompt would not be read again.
        scheduler.enable_prefix_caching = False
        # With its default of 256 long prompts are 5 % slower.
        scheduler.max_num_batched_tokens = 2048
        self.pipeline = genai.ContinuousBatchingPipeline(
            model, scheduler, "CPU", {"INFERENCE_NUM_THREADS": threads}
        )

    def times(self, ids, num_tokens):
        """As for `Single`."""
        add = lambda i: self.pipeline.add_request(i, ov.Tensor(ids[i : i + 1]), config(num_tokens))
        handles = [add(i) for i in range(len(ids))]
        produced = [0] * len(ids)
        start = time.perf_counter()
        first = None
        while self.pipeline.has_non_finished_requests():
            self.pipeline.step()
            for i, handle in enumerate(handles):
                if handle.can_read():
                    produced[i] += sum(len(o.generated_ids) for o in handle.read().values())
            if first is None and all(produced):
                first, early = time.perf_counter(), sum(produced)
        rest = (sum(produced) - early) / len(ids)
        return first - start, time.perf_counter() - first, rest


def main():
    request = json.loads(sys.argv[1])
    print(json.dumps({"version": genai.__version__}))
    pipeline = {"single": Single, "batched": Batched}[request["pipeline"]](
        sys.argv[2], request["threads"]
    )
    pipeline.times(prompts(16, 1), 4)
    for test in request["tests"]:
        num_tokens, batch = test["prompt"], test["batch"]
        # The first time with a new shape compiles for it; a long prompt has time for that.
        if num_tokens <= 1024:
            pipeline.times(prompts(num_tokens, batch), 2)
        prefill, decode, rest = pipeline.times(prompts(num_tokens, batch), max(test["gen"], 2))
        rates = {"prefill": num_tokens * batch / prefill, "decode": rest * batch / decode}
        print(json.dumps(test | rates), flush=True)


main()
