//! Compiles the library that an emulator is started with under the virtual clock, so that this crate carries it (`src/tcg/gate.rs`)
//! and nothing has to be found beside the runner. Cargo knows no crate that is built one way for a test and another way into a file.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

const SOURCES: &str = "../gate/src";
/// With all of `core` compiled anew nothing is left that unwinds.
const FLAGS: &[&str] = &["--edition=2021", "-Copt-level=2", "-Cpanic=abort", "-Clto=fat", "-Cstrip=symbols"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={SOURCES}");
    let variable = |name: &str| env::var_os(name).ok_or_else(|| format!("cargo does not set {name}"));
    let mut library = OsString::from("-o");
    library.push(PathBuf::from(variable("OUT_DIR")?).join("gate.so"));
    let status = Command::new(variable("RUSTC")?)
        .args(FLAGS)
        .args(["--crate-name=ktstr_gate", "--crate-type=cdylib", "--target"])
        .arg(variable("TARGET")?)
        .arg(format!("{SOURCES}/lib.rs"))
        .arg(library)
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("compiling {SOURCES} into a shared library failed: {status}").into())
    }
}
