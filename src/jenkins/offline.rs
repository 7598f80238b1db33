//! Nodes that are taken out of service, and given back to it.
//!
//! A node is taken offline first: it finishes what it builds and begins nothing. When nothing runs on
//! it any more it is disconnected, which its host sees, and takes for the word that it may go.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::client::Client;
use super::http::Trouble;

/// What people read in Jenkins, and by which hostkit knows what it has taken offline itself.
pub const WHY: &str = "hostkit: this agent is about to go";

/// An idle node is disconnected when it was seen so this often, one look after the other: between
/// Jenkins' decision to build there and the build there is a moment in which it looks idle.
const IDLE_LOOKS: u32 = 2;

/// How a node stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Whether somebody has taken it offline: then no build begins there.
    pub is_offline: bool,
    /// Whether that was hostkit.
    pub by_us: bool,
    /// Whether something runs on one of its executors; a stage of a pipeline, too.
    pub is_busy: bool,
}

/// Something to do to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// No build begins there any more.
    TakeOffline(String),
    /// Nothing runs there: its host may go.
    LetGo(String),
    /// It stays after all.
    GiveBack(String),
}

/// The agents that leave, and how far each is. Decides, without I/O.
#[derive(Clone, Debug, Default)]
pub struct Farewell {
    idle: BTreeMap<String, u32>,
    gone: BTreeSet<String>,
}

impl Farewell {
    /// What is to be done, by how the nodes stand. `leaving` are the agents that are about to go,
    /// `staying` those that serve.
    pub fn decide(
        &mut self,
        nodes: &[Node],
        leaving: &BTreeSet<String>,
        staying: &BTreeSet<String>,
    ) -> Vec<Deed> {
        let mut deeds = Vec::new();
        for node in nodes {
            let name = || node.name.clone();
            if leaving.contains(&node.name) {
                if !node.is_offline {
                    self.idle.remove(&node.name);
                    self.gone.remove(&node.name);
                    deeds.push(Deed::TakeOffline(name()));
                } else if node.is_busy {
                    self.idle.remove(&node.name);
                } else if !self.gone.contains(&node.name) {
                    let looks = self.idle.entry(name()).or_default();
                    *looks += 1;
                    if *looks >= IDLE_LOOKS {
                        self.gone.insert(name());
                        deeds.push(Deed::LetGo(name()));
                    }
                }
            } else if node.is_offline && node.by_us && staying.contains(&node.name) {
                self.idle.remove(&node.name);
                self.gone.remove(&node.name);
                deeds.push(Deed::GiveBack(name()));
            }
        }
        deeds
    }

    /// Those of the agents that leave and that Jenkins knows whose hosts must still wait.
    pub fn waiting<'a>(
        &'a self,
        nodes: &'a [Node],
        leaving: &'a BTreeSet<String>,
    ) -> impl Iterator<Item = &'a Node> {
        let left = |node: &&Node| leaving.contains(&node.name) && !self.gone.contains(&node.name);
        nodes.iter().filter(left)
    }

    /// What was decided could not be done: it is decided anew.
    pub fn undo(&mut self, deed: &Deed) {
        if let Deed::LetGo(name) = deed {
            self.gone.remove(name);
        }
    }
}

#[derive(Debug, Deserialize)]
struct Set {
    #[serde(default)]
    computer: Vec<Computer>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Computer {
    display_name: String,
    #[serde(default)]
    temporarily_offline: bool,
    #[serde(default)]
    offline_cause_reason: Option<String>,
    #[serde(default)]
    executors: Vec<Executor>,
    #[serde(default)]
    one_off_executors: Vec<Executor>,
}

#[derive(Debug, Deserialize)]
struct Executor {
    #[serde(default)]
    idle: bool,
}

impl From<Computer> for Node {
    fn from(computer: Computer) -> Self {
        let mut all = computer.executors.iter().chain(&computer.one_off_executors);
        Self {
            is_busy: all.any(|executor| !executor.idle),
            is_offline: computer.temporarily_offline,
            by_us: computer.offline_cause_reason.is_some_and(|reason| reason.contains(WHY)),
            name: computer.display_name,
        }
    }
}

impl Client {
    /// How its nodes stand, the controller itself included.
    ///
    /// # Errors
    /// Jenkins does not answer, or does not let hostkit see them.
    pub async fn standings(&self) -> Result<Vec<Node>, Trouble> {
        const TREE: &str = "displayName,temporarilyOffline,offlineCauseReason,executors[idle],\
                            oneOffExecutors[idle]";
        let path = format!("/computer/api/json?tree=computer[{TREE}]");
        let set: Set = self.get(&path, "say what its nodes do").await?;
        Ok(set.computer.into_iter().map(Node::from).collect())
    }

    /// Does it to a node.
    ///
    /// # Errors
    /// Jenkins does not answer, or hostkit's user lacks Agent/Disconnect or Agent/Connect.
    pub async fn carry_out(&self, deed: &Deed) -> Result<(), Trouble> {
        let why = form_urlencoded::Serializer::new(String::new())
            .append_pair("offlineMessage", WHY)
            .finish();
        match deed {
            // Unlike `toggleOffline` it does the same however often it is said.
            Deed::TakeOffline(name) => {
                let path = format!("{}/changeOfflineCause?{why}", path(name)?);
                self.post(&path, "take an agent offline").await
            }
            Deed::LetGo(name) => {
                let path = format!("{}/doDisconnect?{why}", path(name)?);
                self.post(&path, "disconnect an agent").await
            }
            Deed::GiveBack(name) => {
                let node = path(name)?;
                self.post(&format!("{node}/toggleOffline"), "bring an agent online").await?;
                self.post(&format!("{node}/launchSlaveAgent"), "connect an agent").await
            }
        }
    }
}

/// Where a node is: its name is the id of an instance, and nothing else goes into a path.
fn path(name: &str) -> Result<String, Trouble> {
    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Ok(format!("/computer/{name}"));
    }
    let answer = "its name is not that of an instance".to_owned();
    Err(Trouble::Unexpected { what: "do something to a node", answer })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn node(name: &str, is_offline: bool, is_busy: bool) -> Node {
        Node { name: name.to_owned(), is_offline, by_us: is_offline, is_busy }
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn an_agent_is_taken_offline_then_idle_twice_and_then_let_go() {
        let (mut farewell, leaving, none) = (Farewell::default(), set(&["i-1"]), set(&[]));
        let mut decide =
            |offline, busy| farewell.decide(&[node("i-1", offline, busy)], &leaving, &none);
        assert_eq!(decide(false, true), [Deed::TakeOffline("i-1".into())]);
        assert_eq!(decide(true, true), []);
        assert_eq!(decide(true, false), []);
        assert_eq!(decide(true, true), [], "it was about to begin something");
        assert_eq!(decide(true, false), []);
        assert_eq!(decide(true, false), [Deed::LetGo("i-1".into())]);
        assert_eq!(decide(true, false), [], "once is enough");
        // A reload of the configuration has it forgotten that it is offline.
        assert_eq!(decide(false, false), [Deed::TakeOffline("i-1".into())]);
        assert_eq!(decide(true, false), []);
        assert_eq!(decide(true, false), [Deed::LetGo("i-1".into())]);
    }

    #[test]
    fn one_that_stays_after_all_is_given_back_and_one_that_a_person_took_is_not() {
        let mut farewell = Farewell::default();
        let by_a_person = Node { by_us: false, ..node("i-2", true, false) };
        let nodes = [node("i-1", true, false), by_a_person, node("i-3", true, false)];
        let deeds = farewell.decide(&nodes, &set(&[]), &set(&["i-1", "i-2"]));
        assert_eq!(deeds, [Deed::GiveBack("i-1".into())]);
    }

    #[test]
    fn what_could_not_be_done_is_decided_anew() {
        let (mut farewell, leaving) = (Farewell::default(), set(&["i-1"]));
        let nodes = [node("i-1", true, false)];
        farewell.decide(&nodes, &leaving, &set(&[]));
        let deeds = farewell.decide(&nodes, &leaving, &set(&[]));
        assert_eq!(farewell.waiting(&nodes, &leaving).count(), 0);
        farewell.undo(&deeds[0]);
        assert_eq!(farewell.waiting(&nodes, &leaving).count(), 1);
        assert_eq!(farewell.decide(&nodes, &leaving, &set(&[])), deeds);
    }

    #[test]
    fn a_node_is_read_as_jenkins_tells_it() {
        let text = r#"{"computer": [
            {"displayName": "Built-In Node", "executors": [], "oneOffExecutors": [{"idle": false}],
             "temporarilyOffline": false, "offlineCauseReason": ""},
            {"displayName": "i-0a", "executors": [{"idle": true}, {"idle": false}],
             "temporarilyOffline": true,
             "offlineCauseReason": "Disconnected by hostkit : hostkit: this agent is about to go"}]}"#;
        let set: Set = serde_json::from_str(text).unwrap();
        let nodes: Vec<_> = set.computer.into_iter().map(Node::from).collect();
        assert_eq!(nodes[1], node("i-0a", true, true));
        assert!(nodes[0].is_busy && !nodes[0].by_us);
        assert!(path("Built-In Node").is_err() && path("../x").is_err() && path("i-0a").is_ok());
    }

    proptest! {
        /// Builds come and go as they like while the node is online; a busy one is never let go, and
        /// one that was let go was offline and idle in two looks before.
        #[test]
        fn no_agent_is_let_go_while_something_runs(looks in prop::collection::vec(any::<(bool, bool)>(), 1..40)) {
            let (mut farewell, leaving, none) = (Farewell::default(), set(&["i-1"]), set(&[]));
            let mut before = (false, true);
            for (offline, busy) in looks {
                let deeds = farewell.decide(&[node("i-1", offline, busy)], &leaving, &none);
                if deeds == [Deed::LetGo("i-1".into())] {
                    prop_assert!(offline && !busy);
                    prop_assert_eq!(before, (true, false));
                }
                before = (offline, busy);
            }
        }
    }
}
