//! Which host key a server of SSH shows: the first packets of a connection, and no more.
//!
//! As `ssh-keyscan` it finds out what is shown, and does not have it proven: whoever logs in has
//! that done. It needs no program, no key and no login.

use std::io;
use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::public::{ED25519, PublicKey, field};

const DISCONNECT: u8 = 1;
const BEGIN_EXCHANGE: u8 = 20;
const OUR_HALF: u8 = 30;
const THEIR_HALF: u8 = 31;

/// What a server may say before its greeting, in lines.
const MOST_LINES: usize = 50;
/// No packet of these is longer, in bytes.
const LONGEST: u32 = 64 << 10;

/// What is offered, in the order of the protocol. No packet is ever encrypted: it does not get that
/// far.
const OFFERS: [&str; 10] = [
    "curve25519-sha256,curve25519-sha256@libssh.org",
    ED25519,
    CIPHERS,
    CIPHERS,
    CODES,
    CODES,
    "none",
    "none",
    "",
    "",
];
const CIPHERS: &str = "aes256-ctr,aes128-ctr,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com";
const CODES: &str = "hmac-sha2-256-etm@openssh.com,hmac-sha2-256,hmac-sha2-512";

/// Asks the server at `address` for its ed25519 host key.
pub async fn host_key(address: SocketAddr) -> anyhow::Result<PublicKey> {
    let stream = TcpStream::connect(address).await.context("connecting")?;
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    writer.write_all(b"SSH-2.0-hostkit\r\n").await?;
    greeting(&mut reader).await.context("reading its greeting")?;
    writer.write_all(&packet(&proposal()?)).await?;
    let mut half = [0; 32];
    getrandom::fill(&mut half).context("asking the kernel for random bytes")?;
    let mut ours = vec![OUR_HALF];
    put(&mut ours, &half);
    writer.write_all(&packet(&ours)).await?;
    loop {
        let payload = receive(&mut reader).await.context("exchanging keys")?;
        match payload.first() {
            Some(&THEIR_HALF) => {
                let key = field(&payload[1..]).map(|(key, _)| key.to_vec());
                let key = key.and_then(PublicKey::of_blob);
                return key.context("its host key cannot be read");
            }
            Some(&DISCONNECT) => bail!("it has no host key of the kind {ED25519}"),
            // 2 to 4 are remarks, which the protocol permits at any time.
            Some(&BEGIN_EXCHANGE | 2..=4) => {}
            _ => bail!("it answers with something else than its host key"),
        }
    }
}

/// Reads lines until the one that every server of the protocol says.
async fn greeting(reader: &mut (impl AsyncBufReadExt + Unpin)) -> anyhow::Result<()> {
    for _ in 0..MOST_LINES {
        let mut line = Vec::new();
        reader.take(1024).read_until(b'\n', &mut line).await?;
        if line.starts_with(b"SSH-2.0-") {
            return Ok(());
        }
        if line.is_empty() {
            break;
        }
    }
    bail!("it is no SSH server")
}

fn proposal() -> anyhow::Result<Vec<u8>> {
    let mut cookie = [0; 16];
    getrandom::fill(&mut cookie).context("asking the kernel for random bytes")?;
    let mut payload = vec![BEGIN_EXCHANGE];
    payload.extend(cookie);
    for names in OFFERS {
        put(&mut payload, names.as_bytes());
    }
    // No guess follows; reserved.
    payload.extend([0; 5]);
    Ok(payload)
}

fn put(payload: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("what we send is short");
    payload.extend(length.to_be_bytes());
    payload.extend(bytes);
}

/// The form of a packet before anything is encrypted: a multiple of eight bytes.
fn packet(payload: &[u8]) -> Vec<u8> {
    let padding = 8 - (payload.len() + 5) % 8 + if (payload.len() + 5) % 8 > 4 { 8 } else { 0 };
    let length = u32::try_from(payload.len() + padding + 1).expect("what we send is short");
    let mut packet = length.to_be_bytes().to_vec();
    packet.push(u8::try_from(padding).expect("it is less than 16"));
    packet.extend(payload);
    packet.resize(packet.len() + padding, 0);
    packet
}

async fn receive(reader: &mut (impl AsyncReadExt + Unpin)) -> io::Result<Vec<u8>> {
    let length = reader.read_u32().await?;
    if !(8..=LONGEST).contains(&length) {
        return Err(io::Error::other("a packet has a length that none has"));
    }
    let mut packet = vec![0; usize::try_from(length).unwrap_or_default()];
    reader.read_exact(&mut packet).await?;
    let padding = usize::from(packet[0]);
    let end = packet.len().checked_sub(padding).filter(|end| *end > 1);
    let end = end.ok_or_else(|| io::Error::other("a packet is all padding"))?;
    Ok(packet[1..end].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_a_multiple_of_eight_and_padded_with_four_at_least() {
        for length in 0..64 {
            let packet = packet(&vec![7; length]);
            assert_eq!(packet.len() % 8, 0, "{length}");
            assert!((4..=12).contains(&packet[4]), "{length}: {}", packet[4]);
            assert_eq!(packet.len(), 5 + length + usize::from(packet[4]));
        }
    }
}
