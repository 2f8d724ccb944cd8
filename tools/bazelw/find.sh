# Looks for a Bazel on PATH that is new enough.

# Whether version $1 is $2, or a newer one of the same major version.
version_fits() {
  [[ $1 =~ ^[0-9]+(\.[0-9]+)*$ ]] && [[ ${1%%.*} == "${2%%.*}" ]] &&
    [[ $(printf '%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]
}

# The version in the output of `bazel --version`, which is read from standard input; nothing if there is none.
version_said() {
  sed -n 's/^bazel \([0-9][0-9.]*\).*/\1/p'
}

# Prints the path of a Bazel of version $1 or newer, or fails.
find_bazel() {
  local name bazel version
  for name in bazel bazelisk; do
    bazel=$(type -P "$name") || continue
    version=$(cd "$repository" && timeout 120 "$bazel" --version 2>/dev/null | version_said) || continue
    if version_fits "$version" "$1"; then
      printf '%s\n' "$bazel"
      return
    fi
  done
  return 1
}
