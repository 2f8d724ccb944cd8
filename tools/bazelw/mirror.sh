# Which Debian mirror this machine uses. tools/lock/refresh reads this file too; for Bazel started without bazelw,
# rules/private/debian.bzl does the same.

# Prints the mirror of the apt sources below $1, by default the machine's, or fails: the first address that ends in
# /debian. Others, of security updates say, have no packages of a release.
debian_mirror() {
  local apt=${1:-/etc/apt} file words word
  if [[ -n ${KTSTR_DEBIAN_MIRROR:-} ]]; then
    printf '%s\n' "${KTSTR_DEBIAN_MIRROR%/}"
    return
  fi
  for file in "$apt"/sources.list.d/*.sources "$apt/sources.list" "$apt"/sources.list.d/*.list; do
    [[ -r $file ]] || continue
    while read -r -a words || ((${#words[@]})); do
      [[ ${words[0]:-} == URIs: || ${words[0]:-} == deb ]] || continue
      for word in "${words[@]:1}"; do
        word=${word%/}
        if [[ $word == *://*/debian ]]; then
          printf '%s\n' "$word"
          return
        fi
      done
    done <"$file"
  done
  return 1
}
