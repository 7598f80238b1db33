//! Tells the linker in which order code comes, so that the processes that stay for months are small.
//! Makes nothing, and asks nothing of the machine.

fn main() {
    let order = concat!(env!("CARGO_MANIFEST_DIR"), "/link/resident.ld");
    println!("cargo::rerun-if-changed={order}");
    // Of the binary alone: tests have no need of it.
    println!("cargo::rustc-link-arg-bins=-Wl,--script={order}");
}
