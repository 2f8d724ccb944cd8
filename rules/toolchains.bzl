"""Rules for toolchains of one's own: another build of the runner, another emulator; and the runner of the toolchain as a program."""

load("//rules/private:program.bzl", _ktstr_program = "ktstr_program")
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
ktstr_program = _ktstr_program
ktstr_runner_toolchain = _ktstr_runner_toolchain
