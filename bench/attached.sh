#!/usr/bin/env bash
# What a further case under a scheduler takes to start, against the first one, which attaches it. Runs in the root of the runfiles.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
now() { date +%s%N; }
median() { sort -n | awk '{ value[NR] = $1 } END { print value[int((NR + 1) / 2)] }'; }

# As an installed emulator looks.
printf '#!/bin/sh\nexec %q --library-path %q %q -L %q "$@"\n' "$PWD/$BENCH_LOADER" "$(sed "s#^#$PWD/#; s#:#:$PWD/#g" <<<"$BENCH_LIBRARIES")" \
  "$PWD/$BENCH_BINARY" "$PWD/$BENCH_FIRMWARE" >"$scratch/qemu"
chmod +x "$scratch/qemu"

# What the executable of a test is a link to takes a command line where there is no launch file beside it.
ktstr=$(readlink -f bench/boot_4)
sed 's/"start": "boot"/"scheduler": {"name": "scx-ktstr"}, "start": "snapshot"/' bench/boot_4.spec.json >"$scratch/spec.json"

# Runs the cases that the filter $1 takes.
run() {
  "$ktstr" run "$scratch/spec.json" --kernel "$BENCH_KERNEL" --emulator "$scratch/qemu" --guest "$(dirname "$BENCH_INIT")" \
    --scheduler scx-ktstr/scx-ktstr --output "$scratch/out" --filter "$1" >"$scratch/said" || {
    cat "$scratch/said" >&2
    return 1
  }
}

# Values of timing $1 in the report but for the first case.
timings() { sed -nE "s/^ *\"$1\": ([0-9.e-]+),?\$/\1/p" "$scratch/out/report.json" | tail -n +2; }

run '*s0*'
# The machine that has booted is there, as for every test.
rm "$scratch"/out/snapshots/*.attached
since=$(now)
run '*s0*'
wall=$(($(now) - since))
ran=$(sed -nE 's/^ *"(run|judge)": ([0-9.e-]+),?$/\2/p' "$scratch/out/report.json" | awk '{ sum += $1 } END { print sum }')
run '*'
further=$(paste <(timings prepare) <(timings boot) | awk '{ print $1 + $2 }' | median)
awk -v wall="$wall" -v ran="$ran" -v further="$further" 'BEGIN {
  first = wall / 1e9 - ran
  printf "start / first, attached   %5.3f     (%.3f s, median of 5 / %.3f s with the attach; at most 0.1)\n", further / first, further, first
}'
