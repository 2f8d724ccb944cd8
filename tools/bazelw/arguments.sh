# Bazel's command line: startup options, the command, and what comes after it.

# Startup options whose value may be the next word: what `bazel help startup_options` lists without [no].
STARTUP_WITH_VALUE=(
  bazelrc command_port connect_timeout_secs digest_function failure_detail_out host_jvm_args host_jvm_profile
  install_base invocation_policy io_nice_level local_startup_timeout_secs macos_qos_class max_idle_secs output_base
  output_user_root server_javabase server_jvm_out
)

# Sets the arrays startup, command (one word, or none), options (the registries, for commands that fetch) and
# arguments from Bazel's command line $@.
split_arguments() {
  startup=() options=()
  while [[ ${1:-} == -* ]]; do
    startup+=("$1")
    if (($# > 1)) && [[ " ${STARTUP_WITH_VALUE[*]/#/--} " == *" $1 "* ]]; then
      startup+=("$2")
      shift
    fi
    shift
  done
  command=("${@:1:1}") arguments=("${@:2}")
  if command_fetches; then
    mapfile -t options < <(registry_options)
  fi
}

# Whether the command can need a repository: the others do not know the options for that.
command_fetches() {
  case ${command[*]} in
    '' | clean | dump | help | license | shutdown | version | analyze-profile | canonicalize-flags) return 1 ;;
  esac
}
