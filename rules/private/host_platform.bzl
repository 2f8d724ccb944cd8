"""The platform of this machine as a repository: `@ktstr_host//:host` has the constraint `//rules/platforms:kvm` if its KVM is genuine."""

_MAIN = """\
#[allow(dead_code)]
mod genuine;

fn main() {
    let answer = genuine::look();
    println!("{}\\n{answer}", answer.kvm.name());
}
"""

_BUILD = """\
# {why}
platform(
    name = "host",
    constraint_values = {constraint_values},
    parents = ["{parent}"],
    visibility = ["//visibility:public"],
)
"""

def _look(rctx):
    """What the runner's own check says of this machine: a word and a line; None for the word if it cannot be asked."""
    rustc = rctx.which("rustc")
    if not rustc:
        return None, "there is no rustc on PATH"
    rctx.watch(rctx.attr.check)
    rctx.symlink(rctx.attr.check, "genuine.rs")
    rctx.file("main.rs", _MAIN)
    compiled = rctx.execute([rustc, "--edition=2021", "-O", "-o", "look", "main.rs"], timeout = 120)
    if compiled.return_code != 0:
        return None, "the check for KVM does not compile: {}".format(compiled.stderr.strip())
    looked = rctx.execute(["./look"], timeout = 30)
    word, _, line = looked.stdout.strip().partition("\n")
    if looked.return_code != 0 or not line:
        return None, "the check for KVM ended with {}: {}".format(looked.return_code, looked.stderr.strip())
    return word, line

def _host_platform_impl(rctx):
    word, said = _look(rctx)
    if not word:
        # buildifier: disable=print
        print("this machine counts as one without KVM: {}".format(said))
    for file in ["genuine.rs", "main.rs", "look"]:
        rctx.delete(file)
    rctx.file("BUILD.bazel", _BUILD.format(
        constraint_values = [str(Label("//rules/platforms:kvm"))] if word == "genuine" else [],
        parent = Label("@platforms//host"),
        # Without the ratio, which is another one each time.
        why = "KVM: {}".format(word or said.split("\n")[0]),
    ))

host_platform = repository_rule(
    implementation = _host_platform_impl,
    doc = "Looks at this machine whenever Bazel's server starts. What cannot be found out is no KVM.",
    attrs = {
        "check": attr.label(default = "//:vmm/src/kvm/genuine.rs"),
    },
    configure = True,
    environ = ["PATH"],
    local = True,
)
