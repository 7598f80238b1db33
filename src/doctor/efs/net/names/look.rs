//! Asks all resolvers at once, and reads what this host is told of names.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;

use super::{Local, Lookup, Seen, System, names};
use crate::doctor::Look;
use crate::doctor::efs::scene::Scene;
use crate::efs::dns::{self, Kind};
use crate::efs::reach::milliseconds;

/// How long a resolver may be silent: that of the VPC answers in a millisecond.
const PATIENCE: Duration = Duration::from_millis(4500);
/// More of a list than this is not kept.
const MOST: usize = 16;

/// Looks.
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let resolver = scene.resolver;
    let lookups = names(scene.asked, scene.observed).into_iter().map(|name| async move {
        let undotted = name.trim_end_matches('.');
        let (vpc, vpc6, system, undotted) = tokio::join!(
            dns::ask(resolver, &name, Kind::A, PATIENCE),
            dns::ask(resolver, &name, Kind::Aaaa, PATIENCE),
            by_system(&name),
            by_system(undotted),
        );
        Lookup { name, vpc, vpc6, system, undotted }
    });
    let names = join_all(lookups).await;
    Ok(Seen { resolver, names, local: local(scene) })
}

/// A thread does it, which cannot be ended: who leaves must not wait for it.
async fn by_system(name: &str) -> System {
    match timeout(PATIENCE, tokio::net::lookup_host((name, 0))).await {
        Err(_) => System::Silent(milliseconds(PATIENCE)),
        Ok(Err(error)) => System::Failed(words(&error)),
        Ok(Ok(found)) => {
            let mut all: Vec<IpAddr> = found.map(|address| address.ip()).collect();
            all.sort_unstable();
            all.dedup();
            System::Found(all)
        }
    }
}

/// What the C library says, without what the standard library says before it.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.rsplit(": ").next().unwrap_or(&text).to_owned()
}

fn local(scene: &Scene<'_>) -> Local {
    let mut local = match std::fs::read(scene.path("/etc/resolv.conf")) {
        Ok(bytes) => resolv_conf(&String::from_utf8_lossy(&bytes)),
        Err(error) => Local { trouble: Some(error.to_string()), ..Local::default() },
    };
    let hosts = std::fs::read(scene.path("/etc/hosts")).unwrap_or_default();
    local.hosts = String::from_utf8_lossy(&hosts)
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#') && line.contains(&scene.asked.file_system))
        .take(MOST)
        .map(plain)
        .collect();
    local
}

/// What resolv.conf says; of several lists of domains the last counts, as for the C library.
pub(super) fn resolv_conf(text: &str) -> Local {
    let mut local = Local::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => local.servers.extend(words.next().map(plain)),
            Some("search" | "domain") => local.search = words.take(MOST).map(plain).collect(),
            _ => {}
        }
    }
    local.servers.truncate(MOST);
    local
}

/// Short, and without what a terminal would obey.
fn plain(word: &str) -> String {
    word.chars().filter(|c| !c.is_control()).take(255).collect()
}
