//! Tells the linker in which order code comes, so that the processes that stay for months are small,
//! and that functions of the same code are one. Asks nothing of the machine.

use std::path::Path;
use std::{env, fs};

const ORDER: &str = "link/resident.ld";
/// Set by link/resident, which looks for functions by their names.
const TWINS: &str = "HOSTKIT_LINK_TWINS";

fn main() {
    println!("cargo::rerun-if-changed={ORDER}");
    // What cargo remembers of this is used by other clones that share the target folder, where this
    // one may be gone: the linker gets a copy beside what it links.
    let copy = Path::new(&env::var_os("OUT_DIR").expect("cargo gives one")).join("resident.ld");
    fs::copy(ORDER, &copy).expect("the order can be copied to the target folder");
    // Of the binary alone: tests have no need of it.
    println!("cargo::rustc-link-arg-bins=-Wl,--script={}", copy.display());
    // Nobody compares functions by their addresses, and a fourteenth of the binary is such twins. Where
    // their names matter, they are kept apart.
    println!("cargo::rerun-if-env-changed={TWINS}");
    // Only rustc's own linker is known to know this.
    let target = env::var("TARGET").expect("cargo says it");
    if env::var_os(TWINS).is_none() && target == "x86_64-unknown-linux-gnu" {
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
    }
}
