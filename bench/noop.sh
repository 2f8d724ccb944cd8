#!/usr/bin/env bash
# A `bazel test` of cached ktstr targets against one of a cached test that does nothing.
set -euo pipefail
[[ -n ${BUILD_WORKSPACE_DIRECTORY:-} ]] || { echo 'start it by `bazel run //bench`' >&2; exit 1; }
cd "$BUILD_WORKSPACE_DIRECTORY"
# bazelw says with which options the server was started.
read -ra startup <<<"${KTSTR_BAZEL_STARTUP:-}"
read -ra options <<<"${KTSTR_BAZEL_OPTIONS:-}"

quietly() {
  bazel "${startup[@]}" test "${options[@]}" --test_output=errors "$1" >"$scratch/said" 2>&1 || {
    cat "$scratch/said" >&2
    exit 1
  }
}

# Milliseconds: the shortest of five; the first one, which may have to run something, does not count.
noop() {
  local i since best=999999 took
  quietly "$1"
  for i in 1 2 3 4 5; do
    since=$(date +%s%N)
    quietly "$1"
    took=$((($(date +%s%N) - since) / 1000000))
    ((took < best)) && best=$took
  done
  grep -q 'Executed 0 out of' "$scratch/said" || { echo "$1 is not cached" >&2; exit 1; }
  echo "$best"
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
floor=$(noop //bench:floor)
quickstart=$(noop //examples/quickstart/...)
awk -v a="$quickstart" -v b="$floor" 'BEGIN { printf "no-op quickstart / floor   %5.2f     (%d ms / %d ms, best of 5)\n", a / b, a, b }'
