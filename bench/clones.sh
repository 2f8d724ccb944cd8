#!/usr/bin/env bash
# Private memory of sixteen machines that start together from one snapshot, while their workers only spin. Runs in the root of the runfiles.
set -euo pipefail
CLONES=16
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# KiB of the guest's memory that process $1 has for itself; nothing if it has ended.
private() {
  awk '/^[0-9a-f]+-[0-9a-f]+ / { ram = $NF ~ /\/ram[0-9]+$/ } ram && /^Private_Dirty:/ { sum += $2 } END { print sum + 0 }' "/proc/$1/smaps" 2>/dev/null || true
}

# The emulator of runner $1; nothing if there is none.
emulator_of() { awk '{ print $1; exit }' "/proc/$1"/task/*/children 2>/dev/null || true; }

shards=()
for ((i = 0; i < CLONES; i++)); do
  mkdir -p "$scratch/$i/tmp"
  RUNFILES_DIR=${PWD%/*} TEST_TMPDIR=$scratch/$i/tmp TEST_UNDECLARED_OUTPUTS_DIR=$scratch/$i \
    TESTBRIDGE_TEST_ONLY="second[1n1l4c1t][s$i]" ./bench/second >"$scratch/$i/said" 2>&1 &
  shards+=($!)
done

# Each runner has one case; the last sample of its machine is the largest.
declare -A seen=()
while running=$(jobs -rp) && [[ -n $running ]]; do
  for shard in $running; do
    emulator=$(emulator_of "$shard")
    [[ -n $emulator ]] || continue
    kib=$(private "$emulator")
    ((${kib:-0} == 0)) || seen[$shard]=$kib
  done
  sleep 0.01
done
for shard in "${shards[@]}"; do
  wait "$shard" && [[ -n ${seen[$shard]:-} ]] || {
    echo "a case failed, or was never seen:" >&2
    cat "$scratch"/*/said >&2
    exit 1
  }
done
printf '%s\n' "${seen[@]}" | sort -n | awk '{ value[NR] = $1 } END {
  printf "private memory, %d clones  %4.1f MB at most, %.1f MB in the middle, at the end of a case (at most 30 before its workload)\n", NR, value[NR] / 1024, value[int((NR + 1) / 2)] / 1024
}'
