//! Asks the ECS agent of this host who it is.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::Request;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;

use crate::error::Fault;

const PATIENCE: Duration = Duration::from_secs(5);

/// No answer of it is longer, in bytes.
const LONGEST: usize = 64 << 10;

/// What it says of itself.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Said {
    cluster: Option<String>,
    container_instance_arn: Option<String>,
}

impl Said {
    /// The name under which it is in the cluster `wanted`; `None` while it is in none. To be in
    /// another one is an error: what it has registered as does not change.
    pub(super) fn place_in(&self, wanted: &str) -> Result<Option<&str>, Fault> {
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
}

/// Of a cluster's ARN, its name.
fn name_of(cluster: &str) -> &str {
    cluster.rsplit('/').next().unwrap_or(cluster)
}

pub(super) async fn ask(address: SocketAddr) -> anyhow::Result<Said> {
    tokio::time::timeout(PATIENCE, get(address))
        .await
        .with_context(|| format!("no answer within {} s", PATIENCE.as_secs()))?
}

async fn get(address: SocketAddr) -> anyhow::Result<Said> {
    let stream = TcpStream::connect(address).await.context("connecting")?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.context("connecting")?;
    let request = Request::get("/v1/metadata")
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
    }
}
