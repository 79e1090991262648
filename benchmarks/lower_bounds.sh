#!/usr/bin/env bash
# The oldest versions that pyproject.toml allows, on a Python that has them: installs them apart, runs the tests of the environment.
#
#     bash benchmarks/lower_bounds.sh [PYTHON] [PYTEST OPTIONS]
#
# Learners and benchmarks are not part of it; their packages move too fast for a lower bound to mean much.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-python3}
shift || true
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
oldest=$("$python" - <<'END'
import tomllib
with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
print(*(name.replace(">=", "==") for name in project["dependencies"]))
END
)
echo "$("$python" --version), $oldest"
# shellcheck disable=SC2086
"$folder/venv/bin/python" -m pip install --quiet $oldest pytest pytest-timeout hypothesis
PYTHONPATH=. "$folder/venv/bin/python" -m pytest -q -p no:cacheprovider tests/envs tests/episode tests/curricula tests/domains tests/library \
  tests/goalposts tests/rewards tests/transcripts tests/policies tests/sandbox/test_sandbox.py tests/test_options.py "$@"
