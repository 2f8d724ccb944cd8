//! Compiles the schedulers to BPF objects with clang, and links what libelf needs.

use std::env;
use std::path::Path;
use std::process::{Command, ExitCode};

const OBJECTS: [&str; 3] = ["fifo", "llc", "verifier"];

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=bpf");
    // libelf is built on it, and libbpf-sys does not say so. By the name of its file: otherwise the linker takes the dynamic one.
    println!("cargo::rustc-link-arg=-l:libzstd.a");
    // libelf.a and libz.a both have the function crc32: the same checksum with the same arguments.
    println!("cargo::rustc-link-arg=-Wl,-z,muldefs");
    let out = env::var("OUT_DIR").unwrap_or_default();
    for object in OBJECTS {
        if let Err(problem) = compile(object, Path::new(&out)) {
            println!("cargo::error={problem}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn compile(object: &str, out: &Path) -> Result<(), String> {
    let source = format!("bpf/{object}.bpf.c");
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".to_owned());
    let output = Command::new(&clang)
        .args(["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function"])
        .args(["-Wno-unused-parameter", "-fno-ident", "-ffile-prefix-map=.=", "-c", &source, "-o"])
        .arg(out.join(format!("{object}.bpf.o")))
        .output()
        .map_err(|e| {
            format!("{clang} does not start ({e}): it compiles {source}; install it (apt-get install clang)")
        })?;
    if output.status.success() {
        return Ok(());
    }
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    Err(format!("{source} does not compile"))
}
