//! ECS: what it knows of a container host, the tasks that run there, and who drains it.
//!
//! A cluster is given by its name or its ARN, a container instance by its ARN. Nothing here waits:
//! who calls decides how often it asks.

pub mod drain;
mod hosts;
mod instance;
mod provider;
mod task;

pub use hosts::{Container, cluster_of, containers};
pub use instance::{ContainerInstance, State, find, forget, look, put_attributes, set_state};
pub use provider::{MANAGED_HOOK, Provider, managed_draining, provider};
pub use task::{Task, tasks};

/// How many things one call may name.
const AT_ONCE: usize = 100;

/// Of an ARN, its last part; of a name, all.
fn name_of(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}
