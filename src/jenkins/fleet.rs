//! The build agents that Jenkins knows, as configuration as code: the nodes of the pools, and the
//! clouds. Pure, and linear in the number of nodes.
//!
//! The nodes stand in a file of their own: they come and go while the rest stays, and what is wrong
//! with a template or with a file of the user's never takes them away.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use super::yaml::quoted;
use crate::host::{Cloud, Pool};

/// The credential with the private key for the agents, which the template makes.
pub const CREDENTIAL: &str = "jenkins-agent-ssh";

/// The port for agents that connect to the controller; open only where there are clouds.
pub const AGENT_PORT: u16 = 50000;

/// The only label of an agent that is about to go.
pub const LEAVING: &str = "hostkit-leaving";

/// A build agent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Agent {
    /// The instance, which is also the name of the node.
    pub id: String,
    /// Its private address.
    pub address: IpAddr,
    /// Its own labels, beside those of its pool.
    pub labels: Vec<String>,
    /// Whether it is about to go: it finishes its builds and gets no new ones.
    pub is_leaving: bool,
}

/// The agents of a pool, or that nobody knows them.
#[derive(Clone, Debug)]
pub struct Members<'a> {
    /// The pool's name.
    pub name: &'a str,
    /// What its agents have in common.
    pub pool: &'a Pool,
    /// The public host key that they share: the kind and the key, in one line.
    pub host_key: &'a str,
    /// Those that serve now.
    pub agents: &'a [Agent],
}

/// What the templates of the clouds name.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The region.
    pub region: &'a str,
    /// The account.
    pub account: &'a str,
    /// The controller's address inside the network.
    pub address: IpAddr,
}

/// The file with the nodes of all pools, and the clouds.
///
/// Without pools it has no list of nodes at all, and Jenkins keeps those that it has; with pools that
/// have no agents the list is empty, and Jenkins forgets them.
pub fn fleet(
    pools: Option<&[Members<'_>]>,
    clouds: &BTreeMap<String, Cloud>,
    place: &Place<'_>,
) -> String {
    let mut text = "# Written by hostkit; what is changed here is lost.\n".to_owned();
    if pools.is_none() && clouds.is_empty() {
        return text;
    }
    text.push_str("jenkins:\n");
    if let Some(pools) = pools {
        nodes(&mut text, pools);
    }
    if !clouds.is_empty() {
        text.push_str("  clouds:\n");
        for (name, cloud) in clouds {
            one_cloud(&mut text, name, cloud, place);
        }
    }
    text
}

fn nodes(text: &mut String, pools: &[Members<'_>]) {
    if pools.iter().all(|members| members.agents.is_empty()) {
        text.push_str("  nodes: []\n");
        return;
    }
    text.push_str("  nodes:\n");
    for members in pools {
        for agent in members.agents {
            node(text, members, agent);
        }
    }
}

fn node(text: &mut String, members: &Members<'_>, agent: &Agent) {
    let Pool { executors, remote_root, port, labels, .. } = members.pool;
    let all = std::iter::once(members.name)
        .chain(labels.iter().map(String::as_str))
        .chain(agent.labels.iter().map(String::as_str));
    let mut labels: Vec<&str> = Vec::new();
    all.for_each(|label| {
        if !labels.contains(&label) {
            labels.push(label);
        }
    });
    // Without the labels nothing asks for it, and a node that is taken away loses its builds.
    let mode = if agent.is_leaving { "EXCLUSIVE" } else { "NORMAL" };
    let labels = if agent.is_leaving { LEAVING.to_owned() } else { labels.join(" ") };
    // Writing into a string cannot fail.
    let _ = write!(
        text,
        "    - permanent:
        name: {name}
        nodeDescription: {description}
        remoteFS: {root}
        numExecutors: {executors}
        labelString: {labels}
        mode: {mode}
        retentionStrategy: \"always\"
        launcher:
          ssh:
            host: {host}
            port: {port}
            credentialsId: {credential}
            launchTimeoutSeconds: 60
            maxNumRetries: 10
            retryWaitTime: 15
            sshHostKeyVerificationStrategy:
              manuallyProvidedKeyVerificationStrategy:
                key: {key}
",
        name = quoted(&agent.id),
        description = quoted(&format!("found by hostkit in the pool {}", members.name)),
        root = quoted(remote_root),
        labels = quoted(&labels),
        host = quoted(&agent.address.to_string()),
        credential = quoted(CREDENTIAL),
        key = quoted(members.host_key),
    );
}

fn one_cloud(text: &mut String, name: &str, cloud: &Cloud, place: &Place<'_>) {
    let Cloud { cluster, image, labels, memory, cpu, task_role } = cloud;
    let address = place.address;
    let _ = write!(
        text,
        "    - ecs:
        name: {name}
        cluster: {cluster}
        regionName: {region}
        credentialsId: \"\"
        jenkinsUrl: {url}
        tunnel: {tunnel}
        templates:
          - templateName: {name}
            label: {labels}
            image: {image}
            launchType: \"EC2\"
            networkMode: \"default\"
            remoteFSRoot: \"/home/jenkins/agent\"
            memory: 0
            memoryReservation: {memory}
            cpu: {cpu}
            assignPublicIp: false
            privileged: false
            sharedMemorySize: 0
            uniqueRemoteFSRoot: false
",
        name = quoted(name),
        cluster = quoted(&cluster_arn(cluster, place)),
        region = quoted(place.region),
        url = quoted(&format!("http://{address}:8080/")),
        tunnel = quoted(&format!("{address}:{AGENT_PORT}")),
        labels = quoted(&labels.join(" ")),
        image = quoted(image),
    );
    if let Some(role) = task_role {
        let _ = writeln!(text, "            taskrole: {}", quoted(role));
    }
}

/// The plug-in wants the ARN.
fn cluster_arn(cluster: &str, place: &Place<'_>) -> String {
    if cluster.starts_with("arn:") {
        return cluster.to_owned();
    }
    let partition = match place.region.split('-').next() {
        Some("cn") => "aws-cn",
        _ if place.region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    format!("arn:{partition}:ecs:{}:{}:cluster/{cluster}", place.region, place.account)
}

/// The labels in a text that somebody has put into a tag: words between blanks or commas, and only
/// those that mean nothing else to Jenkins. Whoever may tag must not thereby command.
pub fn labels(text: &str) -> Vec<String> {
    let words = text.split(|c: char| c.is_whitespace() || c == ',');
    words.filter(|word| is_label(word)).map(str::to_owned).collect()
}

/// Whether a word is a label, and not an expression of them.
pub fn is_label(word: &str) -> bool {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_.-:@+/".contains(c);
    (1..=128).contains(&word.len()) && word.chars().all(safe)
}

/// A public host key as Jenkins takes it: its kind and the key, without the comment. None if it is
/// not one.
pub fn host_key(text: &str) -> Option<String> {
    let mut words = text.lines().find(|line| !line.trim().is_empty())?.split_whitespace();
    let (kind, key) = (words.next()?, words.next()?);
    let is_kind = kind.starts_with("ssh-") || kind.starts_with("ecdsa-sha2-");
    let base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    (is_kind && key.starts_with("AAAA") && key.chars().all(base64)).then(|| format!("{kind} {key}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'static> = Place {
        region: "eu-west-1",
        account: "123456789012",
        address: IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 2, 15)),
    };
    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0m9w0Vd6b0oQ0sYb1tq1m8m2Yx3o8xq5dQ0r3m";

    fn agent(id: &str, labels: &[&str]) -> Agent {
        let labels = labels.iter().map(|it| (*it).to_owned()).collect();
        let address = "10.0.1.5".parse().unwrap();
        Agent { id: id.to_owned(), address, labels, is_leaving: false }
    }

    #[test]
    fn a_node_has_its_address_its_labels_and_the_key_of_its_pool() {
        let pool = Pool { labels: vec!["linux".into()], executors: 2, ..Pool::default() };
        let leaving = Agent { is_leaving: true, ..agent("i-0b", &[]) };
        let agents = [agent("i-0a", &["arm64", "linux", "builds"]), leaving];
        let members = Members { name: "builds", pool: &pool, host_key: KEY, agents: &agents };
        let cloud = Cloud {
            cluster: "tasks".into(),
            image: "jenkins/inbound-agent:latest-jdk21".into(),
            labels: vec!["small".into()],
            memory: 1024,
            cpu: 512,
            task_role: Some("arn:aws:iam::123456789012:role/agent".into()),
        };
        let clouds = BTreeMap::from([("tasks".to_owned(), cloud)]);
        insta::assert_snapshot!(fleet(Some(&[members]), &clouds, &PLACE));
    }

    #[test]
    fn without_pools_jenkins_keeps_its_nodes_and_with_empty_ones_it_forgets_them() {
        let none = fleet(None, &BTreeMap::new(), &PLACE);
        assert!(!none.contains("nodes"), "{none}");
        let pool = Pool::default();
        let members = Members { name: "builds", pool: &pool, host_key: KEY, agents: &[] };
        assert!(fleet(Some(&[members]), &BTreeMap::new(), &PLACE).contains("  nodes: []\n"));
    }

    #[test]
    fn whoever_may_tag_cannot_say_more_than_labels() {
        let text = "arm64, big !master ${agent_key} a&&b \"x\" gpu:a100";
        assert_eq!(labels(text), ["arm64", "big", "gpu:a100"]);
        assert!(!is_label("") && !is_label(&"x".repeat(129)));
    }

    #[test]
    fn a_host_key_is_given_without_its_comment() {
        assert_eq!(host_key(&format!("\n{KEY} pool builds\n")).as_deref(), Some(KEY));
        for bad in ["", "ssh-ed25519", "-----BEGIN", "ssh-ed25519 ${x}", "command=\"x\" ssh-rsa A"]
        {
            assert_eq!(host_key(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_cluster_is_named_by_its_arn_in_every_partition() {
        let china = Place { region: "cn-north-1", ..PLACE };
        assert_eq!(cluster_arn("a", &china), "arn:aws-cn:ecs:cn-north-1:123456789012:cluster/a");
        assert_eq!(cluster_arn("arn:aws:ecs:x", &PLACE), "arn:aws:ecs:x");
    }
}
