#!/usr/bin/env bash
# The rules of the house are kept, and a house that breaks one of them is found out.
set -euo pipefail
rules=$PWD/tools/lint/house_rules.sh
"$rules" .
for file in bazelw .ci/run tools/lock/refresh tools/bazelw/run.sh bench/bench.sh BUILD.bazel rules/defs.bzl README.md judge/src/lib.rs; do
  [[ -e $file ]] || { echo "$file is not here: the test does not see what it should"; exit 1; }
done

# Makes a small house, breaks it by the commands $2, and wants to be told $1.
check() {
  local house said
  house=$(mktemp -d "$TEST_TMPDIR/house.XXXX")
  mkdir -p "$house/model/src" "$house/judge/src"
  printf '| folder | crate | what | may depend on |\n| `model/` | `ktstr-model` | x | |\n| `judge/` | `ktstr-judge` | x | model |\n' \
    >"$house/ARCHITECTURE.md"
  printf '[dependencies]\nserde = "1"\n' >"$house/model/Cargo.toml"
  printf '[dependencies]\nktstr-model.workspace = true\n\n[dev-dependencies]\nktstr-testing.workspace = true\n' \
    >"$house/judge/Cargo.toml"
  "$rules" "$house" >/dev/null || { echo 'the small house is broken before it is broken'; exit 1; }
  (cd "$house" && eval "$2")
  if said=$("$rules" "$house"); then
    echo "not found out: $1"
    exit 1
  fi
  [[ $said == *"$1"* ]] || { echo "said '$said' instead of '$1'"; exit 1; }
}

check 'model: uses judge, which ARCHITECTURE.md does not allow it' 'echo "ktstr-judge.workspace = true" >>model/Cargo.toml'
check 'vmm: the table in ARCHITECTURE.md does not have it' 'mkdir vmm && touch vmm/Cargo.toml'
check 'model/src/long.rs: 401 lines; 400 are the most' 'printf "//\n%.0s" {1..401} >model/src/long.rs'
check 'tool: 500 lines; 400 are the most' 'printf "#\n%.0s" {1..500} >tool'
check 'model/src/x.rs: has unsafe code' 'echo "fn f() { unsafe { g() } }" >model/src/x.rs'
# Put together here, because this file is looked at, too.
named='names a registry or a path of somebody'
for place in deb.debian+.org/debian registry.npmjs+.org pypi+.org/simple index.crates+.io github.com/rust-lang/crates.io+-index; do
  check "tool.sh: $named" "echo 'curl https://${place/+/}' >tool.sh"
done
for place in /home+/me/x /root+/x /work+/main '"/Users+/Me"'; do
  check "model/notes.md: $named" "echo 'see ${place/+/}' >model/notes.md"
done
echo 'and broken houses are found out'
