//! What the ECS agent of this host says of itself, at its introspection address. It tells who the
//! host is to its cluster and what runs here; nothing can be changed there.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::Request;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use crate::error::Fault;

/// Where it answers.
pub const PORT: u16 = 51678;

const PATIENCE: Duration = Duration::from_secs(5);

/// No answer of it is longer, in bytes: a few hundred for a container.
const LONGEST: usize = 4 << 20;

/// Who it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Said {
    cluster: Option<String>,
    container_instance_arn: Option<String>,
}

impl Said {
    /// The ARN under which it is in the cluster `wanted`; `None` while it is in none. To be in
    /// another one is an error: what it has registered as does not change.
    pub fn place_in(&self, wanted: &str) -> Result<Option<&str>, Fault> {
        let Some(arn) = self.container_instance_arn.as_deref().filter(|arn| !arn.is_empty()) else {
            return Ok(None);
        };
        let cluster = self.cluster.as_deref().unwrap_or_default();
        if name_of(cluster) == name_of(wanted) {
            return Ok(Some(arn));
        }
        Err(Fault::step(format!("the ECS agent is in the cluster {cluster}, and not in {wanted}"))
            .hint("it was registered before: systemctl stop ecs, remove /var/lib/ecs/data, boot again"))
    }

    /// The cluster and the ARN that it is registered with, once it is.
    pub fn place(&self) -> Option<(&str, &str)> {
        let arn = self.container_instance_arn.as_deref().filter(|arn| !arn.is_empty())?;
        Some((self.cluster.as_deref()?, arn))
    }
}

/// A task that it knows of.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Task {
    /// Its ARN.
    pub arn: String,
    /// What it is made of, without the revision.
    #[serde(default)]
    pub family: String,
    /// What it is: `RUNNING`, `STOPPED`, …
    #[serde(default)]
    pub known_status: String,
    /// What it is to be.
    #[serde(default)]
    pub desired_status: String,
}

impl Task {
    /// Whether its containers are gone.
    pub fn has_stopped(&self) -> bool {
        self.known_status == "STOPPED"
    }
}

/// Of a cluster's ARN, its name.
fn name_of(cluster: &str) -> &str {
    cluster.rsplit('/').next().unwrap_or(cluster)
}

/// Asks who it is. An error is also an agent that does not run.
pub async fn ask(address: SocketAddr) -> anyhow::Result<Said> {
    in_time(get(address, "/v1/metadata")).await
}

/// Asks what runs here, or has stopped a short time ago.
pub async fn tasks(address: SocketAddr) -> anyhow::Result<Vec<Task>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Tasks {
        // `null` where there is none.
        tasks: Option<Vec<Task>>,
    }
    let tasks: Tasks = in_time(get(address, "/v1/tasks")).await?;
    Ok(tasks.tasks.unwrap_or_default())
}

async fn in_time<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::time::timeout(PATIENCE, work)
        .await
        .with_context(|| format!("no answer within {} s", PATIENCE.as_secs()))?
}

async fn get<T: DeserializeOwned>(address: SocketAddr, path: &str) -> anyhow::Result<T> {
    let stream = TcpStream::connect(address).await.context("connecting")?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.context("connecting")?;
    let request = Request::get(path)
        .header(hyper::header::HOST, address.to_string())
        .body(Empty::<bytes::Bytes>::new())
        .expect("the request is made of constants and an address");
    // Driven beside the question: it may end in the moment in which the answer is there.
    let driver = tokio::spawn(connection);
    let answer = async {
        let response = sender.send_request(request).await.context("asking")?;
        let status = response.status().as_u16();
        anyhow::ensure!(status == 200, "it answers {status}");
        let body = Limited::new(response.into_body(), LONGEST).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!(error)).context("reading the answer")?;
        serde_json::from_slice(&body.to_bytes()).context("reading the answer")
    };
    let said = answer.await;
    driver.abort();
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_in_another_cluster_is_not_waited_for() {
        let said = |text: &str| serde_json::from_str::<Said>(text).unwrap();
        let arn = "arn:aws:ecs:eu-west-1:1:container-instance/builds/1";
        let registered = said(&format!(
            r#"{{"Cluster":"builds","ContainerInstanceArn":"{arn}","Version":"1"}}"#
        ));
        assert_eq!(
            registered.place_in("arn:aws:ecs:eu-west-1:1:cluster/builds").unwrap(),
            Some(arn)
        );
        assert!(registered.place_in("other").is_err());
        let fresh = said(r#"{"Cluster":"builds","ContainerInstanceArn":null}"#);
        assert_eq!(fresh.place_in("other").unwrap(), None);
        assert_eq!(registered.place(), Some(("builds", arn)));
        assert_eq!(fresh.place(), None);
    }
}
