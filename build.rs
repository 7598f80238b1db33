//! Tells the linker in which order code comes, so that the processes that stay for months are small.
//! Asks nothing of the machine.

use std::path::Path;
use std::{env, fs};

const ORDER: &str = "link/resident.ld";

fn main() {
    println!("cargo::rerun-if-changed={ORDER}");
    // What cargo remembers of this is used by other clones that share the target folder, where this
    // one may be gone: the linker gets a copy beside what it links.
    let copy = Path::new(&env::var_os("OUT_DIR").expect("cargo gives one")).join("resident.ld");
    fs::copy(ORDER, &copy).expect("the order can be copied to the target folder");
    // Of the binary alone: tests have no need of it.
    println!("cargo::rustc-link-arg-bins=-Wl,--script={}", copy.display());
}
