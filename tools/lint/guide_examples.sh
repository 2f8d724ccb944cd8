#!/usr/bin/env bash
# Every test that README and guide show is in examples/guide, word for word, where it runs as a test.
set -uo pipefail
examples=$(<examples/guide/BUILD.bazel)
found=0 missing=0
for document in README.md docs/guide/*.md; do
  block='' inside=0
  while IFS= read -r line || [[ -n $line ]]; do
    if [[ $line == '```starlark' ]]; then
      inside=1 block=''
    elif [[ $line == '```' && $inside == 1 ]]; then
      inside=0
      [[ $block == *'ktstr_test('* ]] || continue
      if [[ $examples == *"${block%$'\n'}"* ]]; then
        found=$((found + 1))
      else
        missing=$((missing + 1))
        printf '%s: not in examples/guide/BUILD.bazel:\n%s\n' "$document" "$block"
      fi
    elif ((inside)) && [[ $line != load\(* && -n $block$line ]]; then
      block+=$line$'\n'
    fi
  done <"$document"
done
((missing == 0)) || exit 1
((found > 2)) || { echo "only $found examples found: the test does not see what it should"; exit 1; }
echo "$found examples are tests"
