//! The gate itself, between two programs that say anything.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener, UnixStream};

use super::*;
use crate::sim::nfs::gate::{Passage, Valve, open_gate};
use crate::sim::timeline::Recorder;

/// Sends `there` through a gate and answers `back`; what arrives on each side.
async fn through(there: Vec<u8>, back: Vec<u8>) -> (Record, Vec<u8>, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("nfs");
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    let (machine, record) = (Machine::new("i-guest"), Record::default());
    let recorder = Recorder::silent();
    let passage =
        Passage { port, machine, record: record.clone(), recorder, valve: Valve::default() };
    let _gate = open_gate(UnixListener::bind(&socket).unwrap(), Some(passage));

    let guest = async {
        let mut guest = UnixStream::connect(&socket).await.unwrap();
        let (mut from, mut to) = guest.split();
        let mut arrived = Vec::new();
        let send = async {
            to.write_all(&there).await.unwrap();
            to.shutdown().await.unwrap();
        };
        tokio::join!(send, async { from.read_to_end(&mut arrived).await.unwrap() });
        arrived
    };
    let serve = async {
        let (mut connection, _) = server.accept().await.unwrap();
        let (mut from, mut to) = connection.split();
        let mut arrived = Vec::new();
        let send = async {
            to.write_all(&back).await.unwrap();
            to.shutdown().await.unwrap();
        };
        tokio::join!(send, async { from.read_to_end(&mut arrived).await.unwrap() });
        arrived
    };
    let (at_guest, at_server) = tokio::join!(guest, serve);
    (record, at_server, at_guest)
}

#[tokio::test]
async fn bytes_arrive_as_they_were_sent_whatever_they_are() {
    let direction = |way| {
        let pieces = capture().into_iter().filter(move |p| p.connection == 1 && p.way == way);
        pieces.flat_map(|piece| piece.bytes).collect::<Vec<_>>()
    };
    let noise: Vec<u8> =
        (0..3_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for (there, back) in [
        (direction(Way::Calls), Vec::new()),
        (noise.clone(), noise.clone()),
        (Vec::new(), direction(Way::Answers)),
    ] {
        let (_, at_server, at_guest) = through(there.clone(), back.clone()).await;
        assert!(at_server == there && at_guest == back);
    }
}

#[tokio::test]
async fn what_passes_is_recorded_and_lost_where_no_answer_came() {
    let calls = capture().into_iter().filter(|p| p.connection == 1 && p.way == Way::Calls);
    let (record, ..) = through(calls.flat_map(|piece| piece.bytes).collect(), Vec::new()).await;
    let changes = record.changes(&Selection::default());
    assert!(changes.len() > 20, "{} changes", changes.len());
    assert!(changes.iter().all(|change| change.machine.id() == "i-guest"));
}
