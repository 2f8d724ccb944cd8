#!/usr/bin/env bash
# The rules of the house: which crate may use which (the table in ARCHITECTURE.md), how long a file may be, where there may
# be unsafe code, and that no file names a registry or a path of somebody's machine. Looks at the tree in $1, by default the
# current directory.
set -uo pipefail
cd "${1:-.}" || exit 1
LINES_MAX=400
# Where packages come from is the machine's configuration.
REGISTRIES='[a-z]+\.debian\.org|registry\.(npmjs|yarnpkg)\.|pypi\.org|pythonhosted\.org|[a-z]+\.crates\.io|crates\.io-index|bcr\.bazel\.'
MACHINE_PATHS='(^|[^$}A-Za-z0-9_.*-])/(home/[a-z]|Users/[A-Za-z]|root/|work/)'
UNSAFE_MAY_BE_IN=(channel/src/mapping.rs e2e/rust_binary/src/main.rs gate/src/instants.rs gate/src/interposed.rs gate/src/registers.rs guest/src/sys/ init/src/sys/ tests/tests/nested.rs
  vmm/src/kvm/arch/x86_64/state.rs vmm/src/kvm/genuine.rs vmm/src/kvm/memory.rs vmm/src/process_memory.rs vmm/src/tcg/spawn.rs vmm/tests/costs/)
problems=0

problem() {
  echo "$*"
  problems=$((problems + 1))
}

# Crates that crate $1 uses; its tests may use ktstr-testing, too.
edges_of() {
  awk '/^\[/ { here = $0 == "[dependencies]" } here && /^ktstr-/ { sub(/^ktstr-/, ""); sub(/[. ].*/, ""); print }' "$1/Cargo.toml"
}

# What the table allows crate folder $1: words of the last column; "all of the above" are the rows before.
allowed_to() {
  awk -F'|' -v folder="$1" '
    /^\| `[a-z-]+\/` \| `/ {
      split($2, name, "`"); row = name[2]; sub("/", "", row)
      if (row == folder) {
        allowed = $5
        if (allowed ~ /all of the above/) allowed = above
        gsub(",", " ", allowed); print allowed; exit
      }
      above = above " " row
    }' ARCHITECTURE.md
}

check_edges() {
  local manifest crate edge allowed seen=0
  for manifest in */Cargo.toml; do
    crate=${manifest%/*}
    grep -qE "^\| \`$crate/\` \| \`(scx-)?ktstr" ARCHITECTURE.md || {
      problem "$crate: the table in ARCHITECTURE.md does not have it"
      continue
    }
    allowed=$(allowed_to "$crate")
    for edge in $(edges_of "$crate"); do
      seen=$((seen + 1))
      [[ " $allowed " == *" $edge "* ]] || problem "$crate: uses $edge, which ARCHITECTURE.md does not allow it"
    done
  done
  ((seen > 0)) || problem "no crate uses another: the test does not see what it should"
}

# All files but those that cargo and the tools write.
files() {
  find -L . -type f ! -name Cargo.lock ! -name '*.json' ! -name '*.snap' | sed 's#^\./##' | sort
}

check_lengths() {
  local file lines
  while read -r file; do
    lines=$(wc -l <"$file")
    ((lines <= LINES_MAX)) || problem "$file: $lines lines; $LINES_MAX are the most: is it about two subjects?"
  done < <(files)
}

check_places() {
  local place
  while read -r place; do
    problem "${place%%:*}: names a registry or a path of somebody's machine: $place"
  done < <(files | tr '\n' '\0' | xargs -0 grep -HnIE "$REGISTRIES|$MACHINE_PATHS")
}

check_unsafe() {
  local file place named
  while read -r file; do
    named=0
    for place in "${UNSAFE_MAY_BE_IN[@]}"; do
      [[ $file == "$place"* ]] && named=1
    done
    ((named)) || problem "$file: has unsafe code, and tools/lint/house_rules.sh does not name it"
  done < <(grep -rlE --include='*.rs' '\bunsafe (\{|fn|impl|extern)|allow\(unsafe_code\)' . | sed 's#^\./##' | sort)
}

check_edges
check_lengths
check_places
check_unsafe
((problems == 0)) || exit 1
echo 'the rules of the house are kept'
