#!/usr/bin/env bash
# Our own time around a guest (all of the process but the guest's boot and run) against the bare emulator booting the same kernel to an init that
# ends at once; what it costs to look at a kernel, against bare reads; a machine on KVM against bare ioctls; then a `bazel test` that has nothing to do
# against Bazel's floor. Bare boots and cases take turns, and medians are compared.
set -euo pipefail
# Paths are those of the runfiles, not of whoever called Bazel.
unset BUILD_WORKING_DIRECTORY
runs=${1:-5}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Prints one entry of a cpio archive (newc): name $1, mode $2, content of file $3.
cpio_entry() {
  local size=0 name_size=$((${#1} + 1))
  [[ -n $3 ]] && size=$(stat -Lc %s "$3")
  printf '070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\0' 1 "$2" 0 0 1 0 "$size" 0 0 0 0 "$name_size" 0 "$1"
  head -c $(((4 - (110 + name_size) % 4) % 4)) /dev/zero
  [[ -n $3 ]] && cat "$3"
  head -c $(((4 - size % 4) % 4)) /dev/zero
}

{
  cpio_entry dev $((8#40755)) ''
  cpio_entry init $((8#100755)) "$BENCH_INIT"
  cpio_entry 'TRAILER!!!' 0 ''
} >"$scratch/initramfs"

now() { date +%s%N; }

# Nanoseconds of a bare boot. Without a window init ends at once, with an exit code of the machine: 2 * 18 + 1.
bare() {
  local since status=0
  since=$(now)
  "$BENCH_LOADER" --library-path "$BENCH_LIBRARIES" "$BENCH_BINARY" -L "$BENCH_FIRMWARE" -nodefaults -no-user-config -display none -no-reboot \
    -serial "file:$scratch/console" -device isa-debug-exit,iobase=0xf4,iosize=4 -M q35,smm=off,sata=off,smbus=off,i8042=off,vmport=off \
    -cpu SapphireRapids -smp 4,sockets=1,dies=1,cores=4,threads=1 -m 1G -accel tcg,thread=multi -kernel "$BENCH_KERNEL" -initrd "$scratch/initramfs" \
    -append 'console=ttyS0 quiet panic=-1 nokaslr mitigations=off tsc=reliable no_timer_check lpj=4000000 cpuhp.parallel=0 cryptomgr.notests random.trust_cpu=on init_on_alloc=0 audit=0 swiotlb=noforce' 2>"$scratch/emulator.log" ||
    status=$?
  ((status == 37)) || {
    echo "the bare emulator ended with status $status instead of 37; its console:" >&2
    tail -n 5 "$scratch/console" >&2
    exit 1
  }
  echo $(($(now) - since))
}

# Nanoseconds of a case that boots and that are not the guest's.
own() {
  local since wall guest
  rm -rf "$scratch/outputs"
  mkdir "$scratch/outputs"
  since=$(now)
  RUNFILES_DIR=${PWD%/*} TEST_TMPDIR=$scratch TEST_UNDECLARED_OUTPUTS_DIR=$scratch/outputs ./bench/smallest >"$scratch/said" || {
    cat "$scratch/said" >&2
    exit 1
  }
  wall=$(($(now) - since))
  guest=$(sed -nE 's/^ *"(boot|run)": ([0-9.e-]+),?$/\2/p' "$scratch/outputs/report.json" | awk '{ sum += $1 } END { printf "%d", sum * 1e9 }')
  echo $((wall - guest))
}

median() { sort -n | awk '{ value[NR] = $1 } END { print value[int((NR + 1) / 2)] }'; }

for ((i = 0; i < runs; i++)); do
  bare >>"$scratch/bare"
  own >>"$scratch/own"
done
bare_median=$(median <"$scratch/bare") own_median=$(median <"$scratch/own")
awk -v own="$own_median" -v bare="$bare_median" -v runs="$runs" 'BEGIN {
  printf "own time / bare boot      %5.1f %%   (%.3f s / %.3f s, medians of %d; at most 10 %%)\n", 100 * own / bare, own / 1e9, bare / 1e9, runs
}'
bench/starts.sh
bench/attached.sh
bench/clones.sh
KTSTR_KERNEL=$BENCH_KERNEL tools/cargo/measurements/monitor/costs --ignored --nocapture | grep -E '^(opening|sample|100 samples)'
if [[ -w /dev/kvm ]]; then
  tools/cargo/measurements/vmm/costs --ignored --nocapture | grep '^KVM'
else
  echo 'KVM                       not here'
fi
bench/noop.sh
