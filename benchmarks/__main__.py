"""The command line: `python -m benchmarks COMMAND`."""

import argparse
import sys
from collections.abc import Sequence

from benchmarks import ablation, accuracy, drift, gpu_check, gpu_plan, kernel_times, rank_scaling, train_step
from minigrad import device
from minigrad.commands import INTERRUPTED
from minigrad.training.config import ConfigError


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse and run one command. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Verify, then time, beside PyTorch.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command, purpose in (
        ("kernels", kernel_times, "every kernel on the shapes that GoogLeNet gives it"),
        ("train-step", train_step, "whole steps of GoogLeNet, training and inference"),
        ("scaling", rank_scaling, "two ranks beside one process, and on paper as many as a cluster has"),
        ("drift", drift, "how far apart losses come to be of several ranks and of one process"),
        ("accuracy", accuracy, "rounding errors of the convolution algorithms"),
        ("ablation", ablation, "what each part of the best recipe is worth; hours, and may be stopped at any time"),
        ("gpu-plan", gpu_plan, "what training costs a card on paper: launches, waits, memory, bytes; needs no card"),
        ("gpu-check", gpu_check, "all that only a machine with a card can show, in one report to send in"),
    ):
        subparser = commands.add_parser(name, help=purpose, description=purpose)
        command.add_options(subparser)
        subparser.set_defaults(run=command.main)
    options = parser.parse_args(arguments)
    try:
        with device.memory_errors("a smaller --batch-size or --image-size needs less"):
            status: int = options.run(options)
        return status
    except (ConfigError, device.DeviceError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
