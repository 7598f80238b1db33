//! Runs a table of steps: every step is a future that awaits those before it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::{LocalBoxFuture, Shared, join_all};
use tokio::time::timeout_at;

use super::context::Context;
use super::graph::Graph;
use super::steps::Step;
use crate::error::{self, Fault};
use crate::event::Outcome;
use crate::secret;

/// A step, and how it ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The step.
    pub step: &'static Step,
    /// How it ended.
    pub outcome: Outcome,
}

type Run = Shared<LocalBoxFuture<'static, Ended>>;

/// Runs all of `table` but what is in `done`, as much at the same time as its order allows. A
/// failure blocks only what comes after it.
pub async fn all(table: &'static [Step], done: Vec<Ended>, context: &Arc<Context>) -> Vec<Ended> {
    let graph = graph(table);
    let mut runs: Vec<Option<Run>> = vec![None; table.len()];
    for &index in graph.order() {
        let before = graph.after(index).iter().map(|&before| {
            runs[before].clone().expect("the order puts what comes before in front")
        });
        let before: Vec<Run> = before.collect();
        let step = &table[index];
        let run = match done.iter().find(|ended| ended.step.name == step.name) {
            Some(ended) => std::future::ready(ended.clone()).boxed_local(),
            None => one(step, before, Arc::clone(context)).boxed_local(),
        };
        runs[index] = Some(run.shared());
    }
    join_all(runs.into_iter().flatten()).await
}

/// The graph of a table of this program.
pub fn graph(table: &'static [Step]) -> Graph {
    let rows: Vec<_> = table.iter().map(|step| (step.name, step.after)).collect();
    Graph::new(&rows).expect("a test builds the graph of every table")
}

async fn one(step: &'static Step, before: Vec<Run>, context: Arc<Context>) -> Ended {
    let before = join_all(before).await;
    if let Some(obstacle) = before.iter().find(|ended| !ended.outcome.is_ok()) {
        let outcome = Outcome::Blocked(obstacle.step.name.to_owned());
        context.events.finished(step.name, outcome.clone(), Duration::ZERO);
        return Ended { step, outcome };
    }
    context.events.started(step.name, step.title);
    let began = Instant::now();
    let events = context.events.clone();
    let limit = context.machine.limit(step.timeout);
    let outcome = within(step, limit, context).await;
    let outcome = outcome.unwrap_or_else(|error| Outcome::Failed(readable(&error)));
    events.finished(step.name, outcome.clone(), began.elapsed());
    Ended { step, outcome }
}

/// The end of a step, or an error where it takes longer than `limit`. The time in which it waits for a
/// person does not count.
async fn within(
    step: &'static Step,
    limit: Duration,
    context: Arc<Context>,
) -> anyhow::Result<Outcome> {
    let mut from = tokio::time::Instant::now();
    let mut work = (step.run)(Arc::clone(&context));
    loop {
        if let Ok(end) = timeout_at(from + limit, &mut work).await {
            return end;
        }
        let now = context.counts_from(step.name, from);
        if now == from {
            let limit = limit.as_secs();
            return Err(Fault::step(format!("`{}` did not end within {limit} s", step.name)).into());
        }
        from = now;
    }
}

/// The chain of causes with its hint, without the word that every error begins with, and without
/// secrets.
fn readable(error: &anyhow::Error) -> String {
    let text = error::render(error);
    let text = secret::redact(&text);
    text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::boot::{Machine, steps};
    use crate::event::Events;
    use crate::facts::Facts;
    use crate::host::Role;

    const ROLES: [Option<Role>; 4] =
        [Some(Role::Controller), Some(Role::Agent), Some(Role::Ecs), None];

    #[test]
    fn every_table_is_a_graph_and_everything_follows_the_identity() {
        for table in ROLES.map(steps::table) {
            let graph = graph(table);
            assert_eq!(table[graph.order()[0]].name, "identity");
            let roots = table.iter().filter(|step| step.after.is_empty());
            assert_eq!(roots.count(), 1);
        }
    }

    /// What may fail blocks what comes after it, and the boot would be a success without that.
    #[test]
    fn nothing_comes_after_a_step_that_may_fail() {
        for table in ROLES.map(steps::table) {
            for step in table {
                let before = table.iter().filter(|other| step.after.contains(&other.name));
                let may_fail: Vec<_> = before.filter(|it| !it.required).map(|it| it.name).collect();
                assert!(may_fail.is_empty(), "{} comes after {may_fail:?}", step.name);
            }
        }
    }

    static WAITS: Step = Step {
        name: "waits",
        title: "waiting for a person",
        after: &[],
        timeout: Duration::from_millis(200),
        required: true,
        run: |context| {
            async move {
                for _ in 0..10 {
                    context.holds("waits");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                context.news.store(true, Ordering::Relaxed);
                std::future::pending().await
            }
            .boxed_local()
        },
    };

    #[tokio::test]
    async fn the_time_in_which_a_step_waits_for_a_person_does_not_count() {
        let machine = Machine::default();
        let facts = Facts::read(&machine.root).unwrap();
        let context = Context::new(machine, facts, "host.toml".into(), Events::silent());
        let context = Arc::new(context);
        let limit = WAITS.timeout;
        let error = within(&WAITS, limit, Arc::clone(&context)).await.unwrap_err();
        assert!(error.to_string().contains("`waits` did not end within"), "{error}");
        assert!(context.news.load(Ordering::Relaxed), "it waited longer than that before");
    }

    /// The longest way through the table, in time-outs.
    fn longest(table: &'static [Step]) -> Duration {
        let graph = graph(table);
        let mut ends = vec![Duration::ZERO; table.len()];
        for &index in graph.order() {
            let begins = graph.after(index).iter().map(|&before| ends[before]).max();
            // A host in a warm pool asks systemd for more time itself.
            let own =
                if table[index].name == "pool" { Duration::ZERO } else { table[index].timeout };
            ends[index] = begins.unwrap_or_default() + own;
        }
        ends.into_iter().max().unwrap_or_default()
    }

    #[test]
    fn systemd_is_more_patient_than_all_steps_and_a_failure_together() {
        let unit = include_str!("../../systemd/hostkit-boot.service");
        let line = unit.lines().find_map(|line| line.strip_prefix("TimeoutStartSec=")).unwrap();
        let minutes: u64 = line.strip_suffix("min").unwrap().parse().unwrap();
        for role in ROLES {
            let most = longest(steps::table(role)) + crate::boot::GIVING_UP;
            assert!(Duration::from_mins(minutes) > most + Duration::from_mins(1), "{role:?}");
        }
    }
}
