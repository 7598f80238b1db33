//! Watches the account and the hosts from outside, and writes down what changes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::{JoinHandle, JoinSet};

use super::log::{Log, Sight};
use super::probe;
use crate::sim::account::{Account, REGION};
use crate::sim::endpoint::{Shared, with};
use crate::sim::fleet::Story;
use crate::sim::instance::State;
use crate::sim::timeline::Milestone;

/// How often is looked.
const GLANCE: Duration = Duration::from_millis(50);
/// How often hosts are asked for their page.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// The tag by which a host is asked to be quiet.
const DRAIN_TAG: &str = "hostkit:drain";

/// The tasks that watch. Dropping it ends them.
#[derive(Debug)]
pub(super) struct Watching([JoinHandle<()>; 2]);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// What is watched.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub(super) account: Shared,
    pub(super) story: Story,
    pub(super) log: Log,
    /// The group's parameter in which its controller says how it stands.
    pub(super) standing: String,
    pub(super) target_group: String,
}

/// Watches for ever.
pub(super) fn start(watched: Watched) -> Watching {
    let again = watched.clone();
    Watching([tokio::spawn(follow(watched)), tokio::spawn(ask(again))])
}

/// What one look sees of one instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Look {
    image: String,
    state: Option<State>,
    lifecycle: String,
    metadata: bool,
    files: bool,
    drain: Option<String>,
    standing: Option<(String, Option<u64>)>,
    target: Option<&'static str>,
}

async fn follow(watched: Watched) {
    let mut known: BTreeMap<String, Look> = BTreeMap::new();
    loop {
        for (id, look) in with(&watched.account, |account| looks(account, &watched)) {
            if !known.contains_key(&id) {
                // The first 26 have a letter.
                let letter = char::from(b'A' + u8::try_from(known.len() % 26).unwrap_or_default());
                watched.story.name(&id, &letter.to_string());
                let what = format!("launched: {id} of {}", watched.story.called(&look.image));
                watched.story.tell(&letter.to_string(), &what);
            }
            let before = known.insert(id.clone(), look.clone()).unwrap_or_default();
            for sight in news(&before, &look) {
                watched.saw(&id, sight);
            }
        }
        tokio::time::sleep(GLANCE).await;
    }
}

fn looks(account: &mut Account, watched: &Watched) -> Vec<(String, Look)> {
    let standing = account.parameter(REGION, &watched.standing);
    let standing: Option<Value> = standing.and_then(|text| serde_json::from_str(&text).ok());
    let ids: Vec<_> = account.instances().iter().map(|one| one.id.clone()).collect();
    let mut looks = Vec::new();
    for id in ids {
        let Some((instance, now)) = account.instance_mut(&id) else { continue };
        let lifecycle = instance.lifecycle_word(now);
        let seen = instance.recorder.timeline();
        let mut look = Look {
            image: instance.image.clone(),
            state: Some(instance.state()),
            lifecycle,
            metadata: seen.at(&Milestone::UserData).is_some(),
            files: seen.at(&Milestone::FileSystem).is_some(),
            drain: instance.tags.get(DRAIN_TAG).cloned(),
            standing: None,
            target: None,
        };
        if let Some(one) = standing.as_ref().filter(|one| one["instance"] == id.as_str()) {
            let state = one["state"].as_str().unwrap_or_default().to_owned();
            look.standing = Some((state, one["builds"].as_u64()));
        }
        if let Some(group) = account.region(REGION).target_groups.get(&watched.target_group) {
            let health = |one: &crate::sim::target_group::Target| {
                one.health(&group.check, look.state, true).state
            };
            look.target = group.targets.get(&id).map(health);
        }
        looks.push((id, look));
    }
    looks
}

/// What is new.
fn news(before: &Look, now: &Look) -> Vec<Sight> {
    let mut news = Vec::new();
    if now.state != before.state {
        news.extend(now.state.map(|state| Sight::State(state.word())));
    }
    if now.lifecycle != before.lifecycle {
        news.push(Sight::Lifecycle(now.lifecycle.clone()));
    }
    if now.metadata && !before.metadata {
        news.push(Sight::Metadata);
    }
    if now.files && !before.files {
        news.push(Sight::Files);
    }
    if now.drain != before.drain {
        news.push(Sight::Drain(now.drain.clone()));
    }
    if now.standing != before.standing {
        let one = now.standing.clone();
        news.extend(one.map(|(state, builds)| Sight::Standing(state, builds)));
    }
    if now.target != before.target {
        news.extend(now.target.map(Sight::Target));
    }
    news
}

impl Watched {
    /// Writes down what is seen now, and tells it.
    pub(super) fn saw(&self, id: &str, sight: Sight) {
        self.saw_at(Instant::now(), id, sight);
    }

    fn saw_at(&self, moment: Instant, id: &str, sight: Sight) {
        let told = match &sight {
            Sight::State(state) => format!("EC2 says {state}"),
            Sight::Lifecycle(word) => format!("its group: {word}"),
            Sight::Metadata => "the agent has its user-data".to_owned(),
            Sight::Files => "it comes to the file system".to_owned(),
            Sight::Drain(Some(value)) => format!("tag hostkit:drain={value}"),
            Sight::Drain(None) => "tag hostkit:drain is gone".to_owned(),
            Sight::Standing(state, Some(builds)) => format!("its guard: {state}, {builds} builds"),
            Sight::Standing(state, None) => format!("its guard: {state}"),
            Sight::Serves(version) => format!("Jenkins {version} serves"),
            Sight::Silent => "Jenkins does not answer".to_owned(),
            Sight::Target(state) => format!("the load balancer: {state}"),
            // The story has these from the record itself, and from the night.
            Sight::Holds | Sight::Released | Sight::Breaks | Sight::Mends => String::new(),
        };
        if !told.is_empty() {
            self.story.tell(&self.story.called(id), &told);
        }
        self.log.saw(moment.saturating_duration_since(self.story.began()), id, sight);
    }
}

/// Has every host that runs be asked for its page, for ever.
async fn ask(watched: Watched) {
    let mut asked = JoinSet::new();
    let mut known: BTreeSet<String> = BTreeSet::new();
    loop {
        for (id, address) in with(&watched.account, |account| addresses(account)) {
            if known.insert(id.clone()) {
                asked.spawn(ask_one(watched.clone(), id, address));
            }
        }
        while asked.try_join_next().is_some() {}
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Asks one host until it is gone. One that hangs keeps nobody else from being asked.
async fn ask_one(watched: Watched, id: String, address: Ipv4Addr) {
    let mut before = None;
    loop {
        let asked = Instant::now();
        let answer = probe::serves(address).await;
        match (&before, &answer) {
            (Some(before), Some(now)) if before == now => {}
            (_, Some(now)) => watched.saw(&id, Sight::Serves(now.clone())),
            // It did not answer what it was asked then.
            (Some(_), None) => watched.saw_at(asked, &id, Sight::Silent),
            (None, None) => {}
        }
        before = answer;
        if with(&watched.account, |account| addresses(account).iter().all(|(one, _)| *one != id)) {
            return;
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

fn addresses(account: &Account) -> Vec<(String, Ipv4Addr)> {
    let on = account.instances().iter().filter(|one| {
        matches!(one.state(), State::Running | State::ShuttingDown | State::Stopping)
    });
    let reached = on.filter_map(|one| {
        let launch = one.launch.as_ref()?;
        let address = launch.public_ip.as_ref().unwrap_or(&launch.private_ip).parse().ok()?;
        Some((one.id.clone(), address))
    });
    reached.filter(|(_, address): &(String, Ipv4Addr)| address.is_loopback()).collect()
}

/// Writes down who holds the home, and who releases it, from the record on the file system.
pub(super) fn follow_head(
    head: &Arc<crate::sim::fleet::HeadWatch>,
    watched: Watched,
) -> JoinHandle<()> {
    let head = Arc::clone(head);
    tokio::spawn(async move {
        let mut seen = 0;
        loop {
            for (moment, said) in head.history().into_iter().skip(seen) {
                seen += 1;
                let sight = if said.held { Sight::Holds } else { Sight::Released };
                watched.saw_at(moment, &said.instance, sight);
            }
            tokio::time::sleep(GLANCE).await;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changes_is_news() {
        let before = Look { state: Some(State::Pending), ..Look::default() };
        let mut now = Look { state: Some(State::Running), metadata: true, ..before.clone() };
        assert_eq!(news(&before, &now), [Sight::State("running"), Sight::Metadata]);
        assert!(news(&now, &now).is_empty());
        now.drain = Some("quiet".into());
        let quiet = Look { drain: None, ..now.clone() };
        assert_eq!(news(&quiet, &now), [Sight::Drain(Some("quiet".into()))]);
        assert_eq!(news(&now, &quiet), [Sight::Drain(None)]);
    }
}
