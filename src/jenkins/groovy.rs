//! What Jenkins runs when it has started, so that it knows hostkit by the token of this boot.

/// Where it lies in the home.
pub const PATH: &str = "init.groovy.d/hostkit.groovy";

/// The script. It knows the user's name from the environment, and has no secret in it.
pub const SCRIPT: &str = include_str!("../../templates/hostkit.groovy");
