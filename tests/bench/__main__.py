"""Run the benchmarks that are named, or all: each is a module of this folder with a ``main(arguments)``."""

import importlib
import pkgutil
import sys

import tests.bench


def main() -> int:
    modules = pkgutil.iter_modules(tests.bench.__path__)
    there = sorted(module.name for module in modules if not module.name.startswith("_"))
    names = [word for word in sys.argv[1:] if not word.startswith("-")] or there
    options = [word for word in sys.argv[1:] if word.startswith("-")]
    for name in names:
        if name not in there:
            print(f"no benchmark {name!r}; there are: {', '.join(there)}", file=sys.stderr)
            return 2
    for name in names:
        print(f"\n== {name}", flush=True)
        importlib.import_module(f"tests.bench.{name}").main(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
