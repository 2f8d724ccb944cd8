"""Rules for toolchains of one's own: another build of the runner, another emulator."""

load(
    "//rules/private:toolchain.bzl",
    _KtstrEmulatorInfo = "KtstrEmulatorInfo",
    _KtstrRunnerInfo = "KtstrRunnerInfo",
    _ktstr_emulator_toolchain = "ktstr_emulator_toolchain",
    _ktstr_runner_toolchain = "ktstr_runner_toolchain",
)

KtstrEmulatorInfo = _KtstrEmulatorInfo
KtstrRunnerInfo = _KtstrRunnerInfo
ktstr_emulator_toolchain = _ktstr_emulator_toolchain
ktstr_runner_toolchain = _ktstr_runner_toolchain
