"""``geospec backend``: what is compiled in, and where it runs."""

from __future__ import annotations

from . import options
from .output import Voice, print_json

EXAMPLES = options.examples("geospec backend", "geospec backend --json")


def run(json: options.Json = False, debug: options.Debug = False) -> None:
    """Say which kernels are compiled in, for which devices, and which torch they run on."""
    import geospec

    info = {"geospec": geospec.__version__, **geospec.ops.backend_info()}
    voice = Voice(as_json=json)
    voice.say("geospec", info["geospec"])
    voice.say("torch", f"{info['torch']}, {info['threads']} threads, {info['machine']}")
    voice.say("CUDA", "kernels loaded" if info["cuda"] else info["cuda_absent"])
    for name, devices in info["ops"].items():
        voice.say("kernel", f"{name} ({', '.join(devices)})")
    if json:
        print_json(info)
