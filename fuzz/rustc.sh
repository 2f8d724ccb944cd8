#!/usr/bin/env bash
# The compiler without the workspace's static linking: the engine looks for the C library's memcmp behind its own, and flags of a configuration
# can only be added to.
exec "${@/target-feature=+crt-static/target-feature=-crt-static}"
