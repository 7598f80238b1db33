//! Waiting for what a boot is to reach.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::error::Fault;
use crate::sim::endpoint::{Shared, with};
use crate::sim::instance::Lifecycle;

/// How often is looked.
const GLANCE: Duration = Duration::from_millis(200);
/// A loaded guest may take its time over one answer.
const HTTP_TIMEOUT: Duration = Duration::from_secs(10);

/// Waits until the launch hook of an instance got CONTINUE.
pub async fn ready(account: &Shared, instance: &str) {
    reached(account, instance, Lifecycle::InService).await;
}

/// Waits until the launch hook of an instance got ABANDON or timed out, or somebody terminates it.
pub async fn abandoned(account: &Shared, instance: &str) {
    reached(account, instance, Lifecycle::Terminating).await;
}

async fn reached(account: &Shared, instance: &str, wanted: Lifecycle) {
    while with(account, |account| account.lifecycle(instance)) != Some(wanted) {
        tokio::time::sleep(GLANCE).await;
    }
}

/// Waits until a GET of `path` on the loopback `port` gives 200.
pub async fn http(port: u16, path: &str) {
    loop {
        match tokio::time::timeout(HTTP_TIMEOUT, get(port, path)).await {
            Ok(Ok(200)) => return,
            Ok(answer) => tracing::trace!(?answer, "not yet"),
            Err(_elapsed) => {}
        }
        tokio::time::sleep(GLANCE).await;
    }
}

async fn get(port: u16, path: &str) -> anyhow::Result<u16> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.context("connecting")?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .context("shaking hands")?;
    let request = Request::get(path)
        .header("host", format!("127.0.0.1:{port}"))
        .header("connection", "close")
        .body(Empty::<Bytes>::new())
        .context(Fault::usage(format!("`{path}` is not a path")))?;
    let mut answer = std::pin::pin!(sender.send_request(request));
    // The connection works only while it is polled; it may end in the moment that it answers.
    let answer = tokio::select! {
        answer = &mut answer => answer,
        _ended = connection => answer.await,
    };
    Ok(answer.context("asking")?.status().as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn an_answer_that_comes_with_the_end_of_the_connection_counts() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = async {
            for answer in ["", "HTTP/1.1 503 No\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nok"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 1024]).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        };
        let wait = tokio::time::timeout(Duration::from_secs(10), http(port, "/login"));
        let ((), arrived) = tokio::join!(server, wait);
        arrived.expect("the third answer is 200");
    }
}
