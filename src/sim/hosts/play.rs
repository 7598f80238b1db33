//! Has scripted hosts live, and opens their ports.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::host::{Host, Stage};
use super::script::Script;
use super::{Cast, ground};
use crate::sim::account::Account;
use crate::sim::autoscaling::engine;
use crate::sim::cloud::Cloud;
use crate::sim::endpoint::{Shared, with};
use crate::sim::http::{self, Reply};

/// How often hosts are looked at.
const GLANCE: Duration = Duration::from_millis(20);

/// Scripted hosts that live. Dropping it ends that; what they have done stays in the account.
#[derive(Debug)]
pub struct Players {
    watch: JoinHandle<()>,
}

impl Drop for Players {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

/// Has the instances of a cloud's groups do what a script says, on its thread.
pub fn play(cloud: &Cloud, script: Script) -> Players {
    let account = Arc::clone(&cloud.account);
    with(&account, |account| account.hosts.script = script);
    Players { watch: cloud.runtime().spawn(watch(account)) }
}

/// The same for an account that is served otherwise, on this thread's runtime.
pub fn play_in(account: &Shared, script: Script) -> Players {
    with(account, |account| account.hosts.script = script);
    Players { watch: tokio::spawn(watch(Arc::clone(account))) }
}

/// All hosts do what is due.
pub fn step(account: &mut Account) {
    engine::settle(account);
    let mut cast = std::mem::take(&mut account.hosts);
    ground::enlist(account, &mut cast);
    let ids: Vec<String> = cast.hosts.keys().cloned().collect();
    for id in ids {
        ground::power(account, &id);
        let Some(mut host) = cast.hosts.remove(&id) else { continue };
        live(account, &mut cast, &mut host);
        cast.hosts.insert(id, host);
    }
    account.hosts = cast;
    engine::settle(account);
}

fn live(account: &mut Account, cast: &mut Cast, host: &mut Host) {
    let Some(sight) = ground::sight(account, cast, host) else { return };
    for act in host.step(&sight) {
        ground::perform(account, cast, host, &sight, act);
    }
}

async fn watch(account: Shared) {
    let mut doors: BTreeMap<String, (u16, http::Server)> = BTreeMap::new();
    loop {
        let open = with(&account, |account| {
            step(account);
            let open = account.hosts.hosts.values().filter(|host| host.is_open());
            open.map(|host| host.instance.clone()).collect::<Vec<String>>()
        });
        doors.retain(|id, _| open.contains(id));
        for id in &open {
            if !doors.contains_key(id)
                && let Ok(door) = door(&account, id).await
            {
                doors.insert(id.clone(), door);
            }
        }
        with(&account, |account| lead(account, &doors));
        tokio::time::sleep(GLANCE).await;
    }
}

/// Opens the port of a host.
async fn door(account: &Shared, id: &str) -> std::io::Result<(u16, http::Server)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let (account, id) = (Arc::clone(account), id.to_owned());
    let answer = move |_: &http::Request| with(&account, |account| answer(account, &id));
    Ok((port, http::serve_tcp(listener, Arc::new(answer))))
}

/// What the port of a host answers to everything.
fn answer(account: &Account, id: &str) -> Reply {
    match account.hosts.hosts.get(id) {
        Some(host) if matches!(host.stage, Stage::Serving | Stage::Draining) => {
            let jenkins = host.part.says_jenkins().unwrap_or_default();
            Reply::new(200, "text/html", "it serves").header("x-jenkins", jenkins)
        }
        _ => Reply::new(503, "text/html", "Please wait while Jenkins is getting ready to work"),
    }
}

/// Has the ways into hosts lead to their doors, and closed ones nowhere.
fn lead(account: &mut Account, doors: &BTreeMap<String, (u16, http::Server)>) {
    let hosts: Vec<Host> = account.hosts.hosts.values().cloned().collect();
    for host in hosts {
        let door = doors.get(&host.instance).map(|(port, _)| *port);
        let ports = ground::ports(account, &host);
        let Some((instance, _)) = account.instance_mut(&host.instance) else { continue };
        instance.ports.clear();
        if let Some(door) = door {
            instance.ports.extend(ports.into_iter().map(|port| (port, door)));
        }
    }
}
