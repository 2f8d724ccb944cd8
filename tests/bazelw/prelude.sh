# What the tests of bazelw share: its functions, and ways to say what they should do.
set -euo pipefail
repository=$PWD cache=$TEST_TMPDIR/cache wanted=7.7.1
mkdir -p "$cache"
for part in say find mirror registries arguments mounts root run; do
  # shellcheck source=/dev/null
  source "$repository/tools/bazelw/$part.sh"
done
checks=0

# Says that $1 was seen where $2 was wanted, in case $3.
check() {
  checks=$((checks + 1))
  [[ $1 == "$2" ]] || {
    printf '%s\nseen:   %s\nwanted: %s\n' "$3" "$1" "$2"
    exit 1
  }
}

# The text $1 has each of the other arguments in it.
check_has() {
  local text=$1 part
  shift
  for part; do
    checks=$((checks + 1))
    [[ $text == *"$part"* ]] || {
      printf 'seen:   %s\nwanted in it: %s\n' "$text" "$part"
      exit 1
    }
  done
}

# Puts a program $1 with the script $2 into directory $TEST_TMPDIR/bin.
program() {
  mkdir -p "$TEST_TMPDIR/bin"
  printf '#!/usr/bin/env bash\n%s\n' "$2" >"$TEST_TMPDIR/bin/$1"
  chmod +x "$TEST_TMPDIR/bin/$1"
}
