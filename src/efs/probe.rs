//! Whether an NFS server answers, and if not, in which way it does not: each has its own cure.

use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;

use super::greet::{self, Hitch};
use super::reach::{self, Barrier};

/// How long a server may be silent, on a machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// What a server is asked once it has taken the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Nothing: it wants TLS first.
    None,
    /// What every NFS server answers.
    Null,
}

/// The way in which a server does not answer.
#[derive(Debug, Error)]
pub enum Obstacle {
    #[error("{0} refused the connection")]
    Refused(SocketAddr),
    #[error("{0} did not answer within {1:?}")]
    TimedOut(SocketAddr, Duration),
    #[error("there is no route to {0}")]
    NoRoute(SocketAddr),
    #[error("{0} closed the connection before it answered an NFS call")]
    Closed(SocketAddr),
    #[error("{0} accepted the connection but does not speak NFSv4")]
    NotNfs(SocketAddr),
    #[error("{0} accepted the connection but did not answer an NFS call within {1:?}")]
    Silent(SocketAddr, Duration),
    #[error("connecting to {0}: {1}")]
    Other(SocketAddr, String),
}

impl Obstacle {
    /// Why no connection came about.
    fn of(address: SocketAddr, barrier: Barrier) -> Self {
        match barrier {
            Barrier::Refused => Self::Refused(address),
            Barrier::Dropped(ms) => Self::TimedOut(address, Duration::from_millis(ms)),
            Barrier::NoRoute => Self::NoRoute(address),
            Barrier::Reset => Self::Other(address, "it was broken off".to_owned()),
            Barrier::Forbidden => {
                Self::Other(address, "a firewall of this host does not let it out".to_owned())
            }
            Barrier::Other(why) => Self::Other(address, why),
        }
    }

    /// What to do about it.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Refused(_) => {
                "nothing listens there: the address is not (or no longer) a mount target"
            }
            Self::TimedOut(..) => {
                "packets are dropped: let this host's security group reach the mount target's on TCP 2049"
            }
            Self::NoRoute(_) => {
                "check the route table of this subnet, and that the file system is in this VPC"
            }
            Self::Closed(_) | Self::Silent(..) => {
                "the way there works, the file system behind it does not: check its state in EFS"
            }
            Self::NotNfs(_) => "another service has this address: check `efs.id`",
            Self::Other(..) => "check the network of this host",
        }
    }
}

/// Connects and makes the call. `patience` is for each of the two.
pub async fn probe(address: SocketAddr, call: Call, patience: Duration) -> Result<(), Obstacle> {
    let connect = reach::connect(address, patience).await;
    let (mut stream, _) = connect.map_err(|barrier| Obstacle::of(address, barrier))?;
    if call == Call::None {
        return Ok(());
    }
    match greet::null(&mut stream, patience).await {
        Ok(_) => Ok(()),
        Err(Hitch::Closed) => Err(Obstacle::Closed(address)),
        Err(Hitch::Silent(_)) => Err(Obstacle::Silent(address, patience)),
        Err(Hitch::Alien(_) | Hitch::Rejected(_)) => Err(Obstacle::NotNfs(address)),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::time::timeout;

    use super::*;

    /// A server that answers the one call, as long as the test runs.
    pub(crate) async fn nfs_server() -> SocketAddr {
        serve(|call| {
            let xid = u32::from_be_bytes(*call[4..].first_chunk().unwrap());
            assert_eq!(call, crate::efs::wire::null(xid));
            let words = [0x8000_0018_u32, xid, 1, 0, 0, 0, 0];
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

    /// An address at which connections are dropped: its queue is full, and stays so while the answer
    /// is held.
    pub(crate) async fn black_hole() -> (SocketAddr, Vec<TcpStream>) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        while let Ok(Ok(stream)) =
            timeout(Duration::from_millis(300), TcpStream::connect(address)).await
        {
            waiting.push(stream);
        }
        // As long as the test runs.
        std::mem::forget(listener);
        (address, waiting)
    }

    #[tokio::test]
    async fn a_server_that_answers_null_is_there() {
        probe(nfs_server().await, Call::Null, PATIENCE).await.unwrap();
    }

    #[tokio::test]
    async fn tells_apart_what_is_wrong() {
        let probe = |address| probe(address, Call::Null, PATIENCE);
        let closed = serve(|_| Vec::new()).await;
        assert!(matches!(probe(closed).await, Err(Obstacle::Closed(_))));
        let web = serve(|_| b"HTTP/1.1 400 Bad Request\r\n\r\n and more".to_vec()).await;
        assert!(matches!(probe(web).await, Err(Obstacle::NotNfs(_))));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nobody = listener.local_addr().unwrap();
        drop(listener);
        assert!(matches!(probe(nobody).await, Err(Obstacle::Refused(_))));
        // The kernel has no way for a connection to many.
        let many = SocketAddr::from(([224, 0, 0, 1], 2049));
        assert!(matches!(probe(many).await, Err(Obstacle::NoRoute(_))));
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_told_from_packets_that_are_dropped() {
        let patience = Duration::from_millis(200);
        let (dropped, _waiting) = black_hole().await;
        let end = probe(dropped, Call::Null, patience).await;
        assert!(matches!(end, Err(Obstacle::TimedOut(..))), "{end:?}");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let silent = listener.local_addr().unwrap();
        let end = probe(silent, Call::Null, patience).await;
        assert!(matches!(end, Err(Obstacle::Silent(..))), "{end:?}");
        probe(silent, Call::None, patience).await.unwrap();
    }
}
