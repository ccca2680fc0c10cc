"""vrl_runner: events through a program, by a Python that can load Vector's compiler."""

import importlib
import json
import sys


def main() -> None:
    program, events = json.load(sys.stdin)
    vrl = importlib.import_module("vector_vrl")
    compiled = vrl.validate_vrl(program)
    if not compiled.success:
        sys.exit(f"{compiled.error}")
    json.dump(vrl.execute_vrl(program, [json.dumps(event) for event in events]), sys.stdout)


if __name__ == "__main__":
    main()
