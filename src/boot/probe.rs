//! Whether an NFS server answers, and if not, in which way it does not: each has its own cure.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(5);

/// The way in which a server does not answer.
#[derive(Debug, Error)]
pub(super) enum Obstacle {
    #[error("{0} refused the connection")]
    Refused(SocketAddr),
    #[error("{0} did not answer within {s} s", s = PATIENCE.as_secs())]
    TimedOut(SocketAddr),
    #[error("there is no route to {0}")]
    NoRoute(SocketAddr),
    #[error("{0} closed the connection before it answered an NFS call")]
    Closed(SocketAddr),
    #[error("{0} accepted the connection but does not speak NFSv4")]
    NotNfs(SocketAddr),
    #[error("{0} accepted the connection but did not answer an NFS call within {s} s",
        s = PATIENCE.as_secs())]
    Silent(SocketAddr),
    #[error("connecting to {0}: {1}")]
    Other(SocketAddr, io::Error),
}

impl Obstacle {
    /// What to do about it.
    pub(super) const fn hint(&self) -> &'static str {
        match self {
            Self::Refused(_) => {
                "nothing listens there: the address is not (or no longer) a mount target"
            }
            Self::TimedOut(_) => {
                "packets are dropped: let this host's security group reach the mount target's on TCP 2049"
            }
            Self::NoRoute(_) => {
                "check the route table of this subnet, and that the file system is in this VPC"
            }
            Self::Closed(_) | Self::Silent(_) => {
                "the way there works, the file system behind it does not: check its state in EFS"
            }
            Self::NotNfs(_) => "another service has this address: check `efs.id`",
            Self::Other(..) => "check the network of this host",
        }
    }
}

/// Connects and makes the call that every NFS server of version 4 answers: NULL.
pub(super) async fn probe(address: SocketAddr) -> Result<(), Obstacle> {
    let connect = timeout(PATIENCE, TcpStream::connect(address)).await;
    let stream = connect.map_err(|_| Obstacle::TimedOut(address))?;
    let mut stream = stream.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => Obstacle::Refused(address),
        io::ErrorKind::TimedOut => Obstacle::TimedOut(address),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            Obstacle::NoRoute(address)
        }
        _ => Obstacle::Other(address, error),
    })?;
    let exchange = async {
        stream.write_all(&null_call()).await?;
        let mut reply = [0_u8; 28];
        stream.read_exact(&mut reply).await?;
        Ok::<_, io::Error>(reply)
    };
    match timeout(PATIENCE, exchange).await {
        Err(_) => Err(Obstacle::Silent(address)),
        Ok(Err(_)) => Err(Obstacle::Closed(address)),
        Ok(Ok(reply)) if is_success(&reply) => Ok(()),
        Ok(Ok(_)) => Err(Obstacle::NotNfs(address)),
    }
}

const XID: u32 = 0x686b_6974;

/// One record of Sun's RPC (RFC 5531): call NULL of NFS (program 100003) version 4, without
/// credentials.
fn null_call() -> Vec<u8> {
    const LAST_FRAGMENT: u32 = 0x8000_0000;
    let words = [LAST_FRAGMENT + 40, XID, 0, 2, 100_003, 4, 0, 0, 0, 0, 0];
    words.iter().flat_map(|word: &u32| word.to_be_bytes()).collect()
}

/// Record mark, then: our id, a reply, accepted, an empty verifier, success.
fn is_success(reply: &[u8; 28]) -> bool {
    let word = |index: usize| {
        let bytes = &reply[index * 4..index * 4 + 4];
        u32::from_be_bytes(bytes.try_into().expect("four bytes"))
    };
    [word(1), word(2), word(3), word(4), word(5), word(6)] == [XID, 1, 0, 0, 0, 0]
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A server that answers the one call, as long as the test runs.
    pub(in crate::boot) async fn nfs_server() -> SocketAddr {
        serve(|call| {
            assert_eq!(call, null_call());
            let words = [0x8000_0018_u32, XID, 1, 0, 0, 0, 0];
            words.iter().flat_map(|word| word.to_be_bytes()).collect()
        })
        .await
    }

    async fn serve(answer: fn(Vec<u8>) -> Vec<u8>) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut call = vec![0; 44];
                if stream.read_exact(&mut call).await.is_ok() {
                    let _ = stream.write_all(&answer(call)).await;
                }
            }
        });
        address
    }

    #[tokio::test]
    async fn a_server_that_answers_null_is_there() {
        probe(nfs_server().await).await.unwrap();
    }

    #[tokio::test]
    async fn tells_apart_what_is_wrong() {
        let closed = serve(|_| Vec::new()).await;
        assert!(matches!(probe(closed).await, Err(Obstacle::Closed(_))));
        let web = serve(|_| b"HTTP/1.1 400 Bad Request\r\n\r\n and more".to_vec()).await;
        assert!(matches!(probe(web).await, Err(Obstacle::NotNfs(_))));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nobody = listener.local_addr().unwrap();
        drop(listener);
        assert!(matches!(probe(nobody).await, Err(Obstacle::Refused(_))));
    }
}
