#!/usr/bin/env bash
# The rules of the house are kept, and a house that breaks one of them is found out.
set -euo pipefail
rules=$PWD/tools/lint/house_rules.sh
"$rules" .

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
check 'model/src/long.rs: 500 lines; 420 are the most' 'printf "//\n%.0s" {1..500} >model/src/long.rs'
check 'model/src/x.rs: has unsafe code' 'echo "fn f() { unsafe { g() } }" >model/src/x.rs'
echo 'and four broken houses are found out'
