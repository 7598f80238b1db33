//! The model: everything that may happen to three hosts and one home, state by state.
//!
//! The newcomers and holders in it are the product's own ([`minds`]); file systems, machines, AWS and
//! operators are abstract ([`world`], [`aws`], [`fate`]) and as bad as they may be in reality.
//! [`search`] visits every state of every scenario ([`scenarios`]) and demands of each what
//! [`properties`] says. Without any one of the guards it must fail, which shows what each is for.

mod aws;
mod fate;
mod minds;
mod processes;
mod properties;
mod scenarios;
mod search;
mod setting;
mod steps;
mod world;

use super::word::{Guard, Guards};
use search::{explore, explore_for};
use setting::Setting;

/// Explores a scenario to its end, and demands that nothing is wrong with it.
fn prove(setting: &Setting) {
    let found = explore(setting, Guards::default());
    let (states, transitions, depth) = (found.states, found.transitions, found.depth);
    let size = format!("{states} states, {transitions} transitions, depth {depth}");
    let (name, minds, time) = (setting.name, found.minds, found.time);
    let took = time.as_secs_f32();
    tell(&format!("model: {name}: {size}; {minds} states of newcomers; {took:.1} s"));
    if let Some(failure) = found.failure {
        panic!("{name}: {failure}");
    }
    let file: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    insta::assert_snapshot!(file, size);
}

#[test]
fn lease_model_races() {
    prove(&scenarios::races());
}

#[test]
fn lease_model_clean_and_unclean_stops() {
    prove(&scenarios::replacement());
}

#[test]
fn lease_model_clean_and_unclean_stops_of_three() {
    prove(&scenarios::replacement_of_three());
}

#[test]
fn lease_model_reboots_stops_and_starts() {
    prove(&scenarios::boots());
}

#[test]
fn lease_model_reboots_stops_and_starts_of_three() {
    prove(&scenarios::boots_of_three());
}

#[test]
fn lease_model_hibernation() {
    prove(&scenarios::hibernation());
}

#[test]
fn lease_model_hibernation_of_three() {
    prove(&scenarios::hibernation_of_three());
}

#[test]
fn lease_model_instances_that_ec2_does_not_know() {
    prove(&scenarios::forgetting());
}

#[test]
fn lease_model_newcomers_that_terminate_the_holder() {
    prove(&scenarios::stonith());
}

#[test]
fn lease_model_breaks_of_a_dead_holders_lease() {
    prove(&scenarios::breaks());
}

#[test]
fn lease_model_breaks_of_a_living_holders_lease() {
    prove(&scenarios::lies());
}

#[test]
fn lease_model_breaks_of_a_living_holders_lease_of_three() {
    prove(&scenarios::lies_to_three());
}

#[test]
fn lease_model_tasks_of_ecs() {
    prove(&scenarios::tasks());
}

#[test]
fn lease_model_a_copy_of_the_file_system() {
    prove(&scenarios::copy());
}

/// The scenario that shows what a guard is for.
fn scenario_for(guard: Guard) -> Setting {
    match guard {
        Guard::Exclusive | Guard::OwnInstance => scenarios::races(),
        Guard::NotGivenUp | Guard::JenkinsIsDown | Guard::Synced => scenarios::replacement(),
        Guard::Ended | Guard::ThisLaunch | Guard::Settled => scenarios::boots(),
        Guard::MemoryIsLost => scenarios::hibernation(),
        Guard::OldEnough | Guard::OwnAccountAndRegion | Guard::AnAnswer => scenarios::forgetting(),
        Guard::OwnFileSystem => scenarios::copy(),
        Guard::HostOfTheTask => scenarios::tasks(),
        Guard::SameGeneration => scenarios::breaks(),
        Guard::HigherGeneration => scenarios::lies(),
    }
}

/// Jenkins runs, the lease of its host is broken meanwhile, and the process that starts again treats
/// its host like any other that wants the home.
#[test]
fn lease_model_fails_where_a_process_that_starts_again_does_not_look_first() {
    let setting = Setting { looks_first: false, ..scenarios::lies() };
    let failure = explore_for(&setting, Guards::default(), false).failure.expect("it is caught");
    insta::assert_snapshot!("without_a_first_look", failure.to_string());
}

#[test]
fn lease_model_fails_without_any_one_of_its_guards() {
    let mut told = String::new();
    let mut missed = Vec::new();
    for guard in Guard::ALL {
        let setting = scenario_for(guard);
        let found = explore_for(&setting, Guards::without(guard), false);
        match found.failure {
            None => missed.push(guard),
            Some(failure) => {
                let (states, steps) = (found.states, failure.trace.len());
                told += &format!(
                    "without {guard:?}: caught after {states} states, in {steps} steps of `{}`\n{failure}\n",
                    setting.name
                );
            }
        }
    }
    tell(&told);
    assert!(missed.is_empty(), "nothing happens without {missed:?}");
    insta::assert_snapshot!("without_each_guard", told);
}

/// Prints a line that is seen when the test passes, too: what `println!` writes is kept back then.
fn tell(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{line}");
}
