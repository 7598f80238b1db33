//! Moving the tasks of a host away: the calls of a drain. How long it may take, and what comes
//! after, is the business of whoever drains.

use aws_config::SdkConfig;

use super::super::Failure;
use super::{MANAGED_HOOK, State, Task, forget, look, managed_draining, set_state, tasks};

/// How a drain has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// ECS moves the tasks away from now on.
    Asked,
    /// It did so already: its agent has seen a spot interruption, ECS drains the hosts of the group
    /// itself, or this is the second time.
    Before,
    /// The cluster has no such host, so it has no task here either.
    Gone,
}

/// Who moves the tasks away when the group terminates the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drainer {
    /// Nobody but the host.
    Host,
    /// ECS does, by a hook of its own, which it also completes: what it is known by. The host only
    /// waits until its tasks are gone, and must leave the ECS agent running until then.
    Ecs(String),
}

/// What is left on a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Tasks of services: ECS stops them.
    pub of_services: Vec<Task>,
    /// Tasks of nobody: ECS lets them run, also while it drains.
    pub alone: Vec<Task>,
}

impl Left {
    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.of_services.is_empty() && self.alone.is_empty()
    }

    /// In one line: what a person wants to know while it takes long.
    pub fn tell(&self) -> String {
        let names = |tasks: &[Task]| {
            let names = tasks.iter().map(|it| it.service.as_ref().unwrap_or(&it.definition));
            let mut names: Vec<_> = names.map(String::as_str).collect();
            names.sort_unstable();
            names.dedup();
            names.join(", ")
        };
        let count = |tasks: &[Task]| match tasks.len() {
            1 => "1 task".to_owned(),
            many => format!("{many} tasks"),
        };
        let (services, alone) = (&self.of_services, &self.alone);
        match (services.is_empty(), alone.is_empty()) {
            (true, true) => "no task is left".to_owned(),
            (false, true) => format!("{} of services ({})", count(services), names(services)),
            (true, false) => format!(
                "{} that ECS does not stop, as no service has it ({})",
                count(alone),
                names(alone)
            ),
            (false, false) => format!(
                "{} of services ({}); {} that ECS does not stop ({})",
                count(services),
                names(services),
                count(alone),
                names(alone)
            ),
        }
    }
}

/// Has ECS move the tasks of the host away. May be called again.
pub async fn begin(config: &SdkConfig, cluster: &str, arn: &str) -> Result<Begun, Failure> {
    match look(config, cluster, arn).await? {
        Some(host) if host.state == State::Draining => return Ok(Begun::Before),
        Some(host) if host.state == State::Active => {}
        // It cannot be drained while it is registered, and takes no task once it is not.
        Some(_) | None => return Ok(Begun::Gone),
    }
    Ok(match set_state(config, cluster, arn, &State::Draining).await? {
        Some(_) => Begun::Asked,
        None => Begun::Gone,
    })
}

/// Takes a drain back: tasks are placed on the host again. Says whether there was one.
pub async fn cancel(config: &SdkConfig, cluster: &str, arn: &str) -> Result<bool, Failure> {
    match look(config, cluster, arn).await? {
        Some(host) if host.state == State::Draining => {
            set_state(config, cluster, arn, &State::Active).await.map(|it| it.is_some())
        }
        Some(_) | None => Ok(false),
    }
}

/// Has the cluster forget the host, with the tasks that it may still have: it is about to be gone.
/// Says whether the cluster had it.
pub async fn deregister(config: &SdkConfig, cluster: &str, arn: &str) -> Result<bool, Failure> {
    match forget(config, cluster, arn).await {
        Ok(()) => Ok(true),
        Err(failure) if failure.message().contains("not found") => Ok(false),
        Err(failure) => Err(failure),
    }
}

/// The tasks that the host still has.
pub async fn tasks_left(config: &SdkConfig, cluster: &str, arn: &str) -> Result<Left, Failure> {
    let all = tasks(config, cluster, arn).await?;
    let (of_services, alone) = all.into_iter().partition(|task| task.service.is_some());
    Ok(Left { of_services, alone })
}

/// Who drains a host of `group` that the group terminates. `hooks` are the names of the group's
/// hooks for terminating, by which it is known also where the role may not ask ECS.
pub async fn drainer(
    config: &SdkConfig,
    cluster: &str,
    group: &str,
    hooks: &[String],
) -> Result<Drainer, Failure> {
    if hooks.iter().any(|hook| hook == MANAGED_HOOK) {
        return Ok(Drainer::Ecs(format!("the hook {MANAGED_HOOK}")));
    }
    match managed_draining(config, cluster, group).await {
        Ok(Some(name)) => Ok(Drainer::Ecs(format!("the capacity provider {name}"))),
        Ok(None) => Ok(Drainer::Host),
        Err(failure) if failure.is_denied() => Ok(Drainer::Host),
        Err(failure) => Err(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(service: Option<&str>) -> Task {
        Task {
            arn: "arn:aws:ecs:eu-west-1:1:task/builds/1".to_owned(),
            definition: "report:3".to_owned(),
            service: service.map(str::to_owned),
            stopping: false,
        }
    }

    #[test]
    fn what_is_left_is_told_in_one_line() {
        let web = || task(Some("web"));
        let left = |of_services, alone| Left { of_services, alone }.tell();
        assert_eq!(left(vec![], vec![]), "no task is left");
        assert_eq!(left(vec![web(), web()], vec![]), "2 tasks of services (web)");
        let alone = "1 task that ECS does not stop, as no service has it (report:3)";
        assert_eq!(left(vec![], vec![task(None)]), alone);
        let both = "1 task of services (web); 1 task that ECS does not stop (report:3)";
        assert_eq!(left(vec![web()], vec![task(None)]), both);
    }
}
