# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Forward passes and training steps in PyTorch, for comparison in `benchmarks.forward` and others.

Runs in a Python that has torch and numpy, without mmv_tf. `benchmarks.peer` starts it: when it is
ready, after one run, it prints a line of JSON. Then, for each line that it reads, it performs one
run and prints its time. Startup and each run have a deadline (--limit), after which an alarm ends
the process.

  python benchmarks/torch_peer.py --work=step --dtype=bfloat16 --layout=channels_last
"""

import argparse
import json
import signal
import sys
import time

import torch
from torch_s3dg import S3DG
from torch_tsm import TSMResNet50

_NETWORKS = {"s3dg": S3DG, "tsm50": TSMResNet50}


def peak_bytes():
    """Return the peak memory of this process; getrusage would count its parent's too."""
    with open("/proc/self/status", encoding="utf-8") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def make_forward(network, clips, dtype):
    """Return inference as a user would run it: batch norms folded, weights in the dtype."""
    network = network.eval().folded().to(dtype)

    def run():
        with torch.inference_mode():
            return network(clips.to(dtype)).float()

    return run


def make_step(network, clips, dtype):
    """Return a step: forward, backward and SGD."""
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)

    def run():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            loss = network(clips).float().square().mean()
        loss.backward()
        optimizer.step()
        return loss

    return run


def in_layout(network, clips, layout):
    """Return weights and clips with channels last, or in PyTorch's default layout."""
    if layout == "contiguous":
        return network, clips
    kind = torch.channels_last_3d if isinstance(network, S3DG) else torch.channels_last
    network = network.to(memory_format=kind)
    return network, clips.to(memory_format=torch.channels_last_3d)


def main():
    """Serve runs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--network", default="s3dg", choices=_NETWORKS)
    parser.add_argument("--work", default="step", choices=["step", "forward"])
    parser.add_argument("--shape", default="4,16,112,112", help="Clips, frames, height, width.")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument(
        "--layout", default="channels_last", choices=["channels_last", "contiguous"]
    )
    parser.add_argument("--mode", default="eager", choices=["eager", "compiled"])
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--limit", type=int, default=0, help="Seconds; 0 for none.")
    arguments = parser.parse_args()
    signal.alarm(arguments.limit)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    about = {"torch": torch.__version__, "import_bytes": peak_bytes()}
    clips, frames, height, width = map(int, arguments.shape.split(","))
    network = _NETWORKS[arguments.network]()
    count = sum(parameter.numel() for parameter in network.parameters())
    network, x = in_layout(network, torch.rand(clips, 3, frames, height, width), arguments.layout)
    if arguments.mode == "compiled":
        network.compile()
    make = make_step if arguments.work == "step" else make_forward
    run = make(network, x, getattr(torch, arguments.dtype))
    run()
    print(json.dumps({"parameters": count, **about}), flush=True)
    signal.alarm(0)
    for _ in sys.stdin:
        signal.alarm(arguments.limit)
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        found = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
        signal.alarm(0)
        found["peak_bytes"] = peak_bytes()
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
