//! Asks a Jenkins on this machine.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use http_body_util::Empty;
use hyper::Request;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(10);

/// How a page was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The HTTP status.
    pub status: u16,
    /// What Jenkins says that it is, in the header `X-Jenkins`.
    pub version: Option<String>,
}

/// Gets the page at `path` as somebody who has not logged in. Redirections are not followed.
pub async fn page(address: SocketAddr, path: &str) -> anyhow::Result<Page> {
    tokio::time::timeout(PATIENCE, get(address, path))
        .await
        .with_context(|| format!("no answer within {} s", PATIENCE.as_secs()))?
}

async fn get(address: SocketAddr, path: &str) -> anyhow::Result<Page> {
    let stream = TcpStream::connect(address).await.context("connecting")?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.context("connecting")?;
    let request = Request::get(path)
        .header(hyper::header::HOST, address.to_string())
        .header(hyper::header::CONNECTION, "close")
        .body(Empty::<bytes::Bytes>::new())
        .expect("the request is made of constants and an address");
    // Driven beside the question: it may end in the moment in which the answer is there.
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await.context("asking");
    driver.abort();
    let response = response?;
    let version = response.headers().get("x-jenkins").and_then(|value| value.to_str().ok());
    Ok(Page { status: response.status().as_u16(), version: version.map(str::to_owned) })
}
