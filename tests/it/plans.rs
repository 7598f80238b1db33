//! What every shipped recipe comes to, on every base and processor: the titles of its steps.

use std::fmt::Write as _;

use crate::support::{hostkit, scratch};

/// The bases that the shipped recipes are for.
const BASES: &[&str] = &["debian:trixie", "ubuntu:noble", "amazon:2023"];

const PROCESSORS: &[&str] = &["amd64", "arm64"];

/// The plan of `recipe` as JSON, made in an empty folder: nothing of a project wins by name.
fn plan(recipe: &str, arguments: &[&str]) -> serde_json::Value {
    let folder = scratch();
    // Nothing is run of it, so that any file will do.
    let agent = folder.path().join("hostkit");
    std::fs::write(&agent, b"not for this machine").unwrap();
    let output = hostkit()
        .current_dir(folder.path())
        .args(["plan", recipe, "--format", "json", "--agent-binary"])
        .arg(&agent)
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 10)), "{recipe} {arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}
