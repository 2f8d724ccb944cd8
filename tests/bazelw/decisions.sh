#!/usr/bin/env bash
# Which Bazel fits, which mirror it is, and how a command line is split.
source tests/bazelw/prelude.sh

fits() { version_fits "$1" "$2" && echo yes || echo no; }
check "$(fits 7.7.1 7.7.1)" yes 'the same version'
check "$(fits 7.7.0 7.7.1)" no 'an older patch'
check "$(fits 7.6.9 7.7.1)" no 'an older minor version'
check "$(fits 7.10.0 7.7.1)" yes 'a newer minor version, of two digits'
check "$(fits 8.0.0 7.7.1)" no 'a newer major version'
check "$(fits 6.9.9 7.7.1)" no 'an older major version'
for nonsense in '' 7. no_version '7.8 (devel)' 7.8.x; do
  check "$(fits "$nonsense" 7.7.1)" no "'$nonsense'"
done
check "$(version_said <<<'bazel 7.7.1')" 7.7.1 'what bazel says'
check "$(version_said <<<'bazel 7.7.1-jre (@non-git)')" 7.7.1 'what a packaged bazel says'
check "$(version_said <<<'bwrap: no such file')" '' 'what no bazel says'

program bazel 'echo bazel 7.6.0'
program bazelisk 'echo bazel 7.9.0'
check "$(PATH=$TEST_TMPDIR/bin:$PATH find_bazel 7.7.1)" "$TEST_TMPDIR/bin/bazelisk" 'the one on PATH that fits'

# What stands in files of apt's sources, file by file, gives which mirror.
mirror_of() {
  local apt name
  apt=$(mktemp -d "$TEST_TMPDIR/apt.XXXX")
  mkdir "$apt/sources.list.d"
  while (($#)); do
    printf '%b' "$2" >"$apt/$1"
    shift 2
  done
  (unset KTSTR_DEBIAN_MIRROR && debian_mirror "$apt") || echo none
}
main='Types: deb\nURIs: http://one.example/debian-security http://one.example/debian/\nSuites: x\n'
check "$(mirror_of sources.list.d/debian.sources "$main")" http://one.example/debian 'the second address of a field'
check "$(mirror_of sources.list 'deb-src http://s.example/debian x main\ndeb\t[arch=amd64 signed-by=/k] https://two.example/a/debian x main\n')" \
  https://two.example/a/debian 'a line with options and a tab'
check "$(mirror_of sources.list '# deb http://c.example/debian x main\n')" none 'a line that is commented out'
check "$(mirror_of sources.list 'deb http://last.example/debian x main')" http://last.example/debian 'no newline at the end'
check "$(mirror_of sources.list.d/other.list 'deb http://three.example/debian x main\n' sources.list.d/tool.sources 'URIs: http://tool.example/apt\n')" \
  http://three.example/debian 'a file of the older format with another name'
check "$(mirror_of sources.list.d/z.sources "$main" sources.list 'deb http://two.example/debian x main\n')" \
  http://one.example/debian 'the newer format comes first'
check "$(KTSTR_DEBIAN_MIRROR=http://named.example/debian/ debian_mirror /nowhere)" http://named.example/debian 'the variable'

registry_options() { echo --repo_env=X=1; }
split() {
  local startup command options arguments
  split_arguments "$@"
  echo "${startup[*]} | ${command[*]} | ${options[*]} | ${arguments[*]}"
}
check "$(split --output_base /x test //... --config=y)" '--output_base /x | test | --repo_env=X=1 | //... --config=y' 'a value that is a word'
check "$(split --output_base=/x --batch build //a)" '--output_base=/x --batch | build | --repo_env=X=1 | //a' 'a value after ='
check "$(split --bazelrc)" '--bazelrc |  |  | ' 'a value that is not there'
check "$(split shutdown)" ' | shutdown |  | ' 'a command that fetches nothing'
check "$(split)" ' |  |  | ' 'nothing'

# All of bazelw with a Bazel on PATH: that one gets the registries, too.
program bazel '[[ $1 == --version ]] && echo "bazel $(<"$TEST_TMPDIR/copy/.bazelversion")" || echo "$@"'
mkdir -p "$TEST_TMPDIR/copy/tools/bazelw"
cp -L bazelw "$TEST_TMPDIR/copy"
cp -L tools/bazelw/* "$TEST_TMPDIR/copy/tools/bazelw"
echo 7.7.1 >"$TEST_TMPDIR/copy/.bazelversion"
check "$(
  export PATH=$TEST_TMPDIR/bin:$PATH KTSTR_CACHE=$TEST_TMPDIR/other
  export KTSTR_DEBIAN_MIRROR=http://d.example/debian/ KTSTR_NPM_REGISTRY=http://n.example/ KTSTR_PYPI_INDEX=http://p.example/simple/
  "$TEST_TMPDIR/copy/bazelw" --output_base /x test //...
)" '--output_base /x test --repo_env=KTSTR_DEBIAN_MIRROR=http://d.example/debian --repo_env=KTSTR_NPM_REGISTRY=http://n.example --repo_env=KTSTR_PYPI_INDEX=http://p.example/simple //...' \
  'a Bazel on PATH'

echo "$checks checks"
