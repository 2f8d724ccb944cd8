#!/usr/bin/env bash
# What it takes to start from a snapshot: against a boot, in cases a second, and in memory. Runs in the root of the runfiles.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
now() { date +%s%N; }
median() { sort -n | awk '{ value[NR] = $1 } END { print value[int((NR + 1) / 2)] }'; }

# Runs target $1 with outputs in directory $2 and the other arguments as variables.
target() {
  local name=$1 outputs=$2
  shift 2
  mkdir -p "$outputs/tmp"
  env RUNFILES_DIR="${PWD%/*}" TEST_TMPDIR="$outputs/tmp" TEST_UNDECLARED_OUTPUTS_DIR="$outputs" "$@" "./bench/$name" >"$outputs/said" 2>&1 || {
    cat "$outputs/said" >&2
    return 1
  }
}

# Values of timing $2 in the report of the run in directory $1, but for the first case.
timings() { sed -nE "s/^ *\"$2\": ([0-9.e-]+),?\$/\1/p" "$1/report.json" | tail -n +2; }

# Seconds from the decision to run a case to the first step of its scenario.
start_of() { paste <(timings "$1" prepare) <(timings "$1" boot) | awk '{ print $1 + $2 }' | median; }

for cpus in 4 16; do
  target "boot_$cpus" "$scratch/boot_$cpus"
  target "snapshot_$cpus" "$scratch/snapshot_$cpus"
  awk -v cpus="$cpus" -v boot="$(start_of "$scratch/boot_$cpus")" -v snapshot="$(start_of "$scratch/snapshot_$cpus")" 'BEGIN {
    printf "start / boot, %2d CPUs      %5.3f     (%.3f s / %.3f s, medians of 5; at most 0.1)\n", cpus, snapshot / boot, snapshot, boot
  }'
done

# Cases in a process of their own, as one `bazel test` of one case would be.
for ((i = 0; i < 5; i++)); do
  since=$(now)
  target second "$scratch/one$i" TESTBRIDGE_TEST_ONLY="second[1n1l4c1t][s$i]"
  echo $(($(now) - since))
done >"$scratch/alone"
target second "$scratch/five" TESTBRIDGE_TEST_ONLY='second[1n1l4c1t][s?]'
within=$(paste <(timings "$scratch/five" prepare) <(timings "$scratch/five" boot) <(timings "$scratch/five" run) <(timings "$scratch/five" judge))
awk -v alone="$(median <"$scratch/alone")" -v further="$(awk '{ print $1 + $2 + $3 + $4 }' <<<"$within" | median)" 'BEGIN {
  printf "one guest second, 4 CPUs  %5.2f s   (a process of its own; at most 1), %.2f s for each further case\n", alone / 1e9, further
}'
awk -v own="$(awk '{ print $1 + $4 }' <<<"$within" | median)" 'BEGIN { printf "own time around a guest   %5.3f s   (to the start of the guest, and the judge; at most 0.050)\n", own }'

since=$(now)
target second "$scratch/half0" TEST_TOTAL_SHARDS=2 TEST_SHARD_INDEX=0 &
target second "$scratch/half1" TEST_TOTAL_SHARDS=2 TEST_SHARD_INDEX=1
wait $!
awk -v wall=$(($(now) - since)) 'BEGIN { printf "100 cases, two at a time  %5.2f /s  (at least 1.5)\n", 100 / (wall / 1e9) }'
