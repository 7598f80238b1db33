//! Asks hosts for the page that people open, as those people do: who answers, serves.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const PORT: u16 = 8080;
/// A loaded machine that is emulated answers within it.
const PATIENCE: Duration = Duration::from_secs(5);
/// More than the head of an answer.
const ENOUGH_BYTES: usize = 4096;

/// The version of the Jenkins that serves at an address; none where nobody does.
pub(super) async fn serves(address: Ipv4Addr) -> Option<String> {
    let answer = tokio::time::timeout(PATIENCE, ask(SocketAddr::from((address, PORT)))).await;
    version(&answer.ok()?.ok()?)
}

async fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /login HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    while answer.len() < ENOUGH_BYTES && stream.read_buf(&mut answer).await? > 0 {}
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// What an answer says, if it is a good one of a Jenkins.
fn version(answer: &str) -> Option<String> {
    let mut lines = answer.lines();
    let status = lines.next()?.split(' ').nth(1)?;
    let mut headers = lines.take_while(|line| !line.is_empty());
    let version = headers.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("x-jenkins").then(|| value.trim().to_owned())
    })?;
    (status == "200").then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_jenkins_that_is_up_serves() {
        let good = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX-Jenkins: 2.568.2\r\n\r\n<p>";
        assert_eq!(version(good).as_deref(), Some("2.568.2"));
        assert_eq!(version(&good.replace("200 OK", "503 Service Unavailable")), None);
        assert_eq!(version("HTTP/1.1 200 OK\r\n\r\nX-Jenkins: 1"), None);
        assert_eq!(version(""), None);
    }
}
