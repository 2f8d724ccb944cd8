# What the wrapper tells its user: one line a phase, with the seconds since it began, on standard error.

say() {
  printf 'bazelw: [%3ds] %s\n' "$SECONDS" "$*" >&2
}

die() {
  printf 'bazelw: %s\n' "$@" >&2
  exit 37
}
