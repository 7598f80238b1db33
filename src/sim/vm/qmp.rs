//! QEMU's machine protocol: one JSON object a line.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// QEMU answers at once; a machine under load gets more.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// A conversation with a running QEMU.
#[derive(Debug)]
pub struct Qmp {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
}

impl Qmp {
    /// Connects to its socket, which must be there already.
    pub async fn connect(socket: &Path) -> anyhow::Result<Self> {
        let stream = UnixStream::connect(socket).await.context("connecting to QEMU")?;
        let (reader, writer) = stream.into_split();
        let mut qmp = Self { lines: BufReader::new(reader).lines(), writer };
        qmp.execute("qmp_capabilities", json!({})).await?;
        Ok(qmp)
    }

    /// Has one command executed; events that come meanwhile are passed over.
    pub async fn execute(&mut self, command: &str, arguments: Value) -> anyhow::Result<Value> {
        let work = self.exchange(command, arguments);
        tokio::time::timeout(ANSWER_TIMEOUT, work)
            .await
            .with_context(|| format!("QEMU does not answer `{command}`"))?
            .with_context(|| format!("asking QEMU to `{command}`"))
    }

    /// A line for the monitor that people use; it has what the machine protocol lacks.
    pub async fn monitor(&mut self, line: &str) -> anyhow::Result<String> {
        let answer = self.execute("human-monitor-command", json!({ "command-line": line })).await?;
        Ok(answer.as_str().unwrap_or_default().to_owned())
    }

    async fn exchange(&mut self, command: &str, arguments: Value) -> anyhow::Result<Value> {
        let line = format!("{}\n", json!({ "execute": command, "arguments": arguments }));
        self.writer.write_all(line.as_bytes()).await?;
        while let Some(line) = self.lines.next_line().await? {
            let mut answer: Value = serde_json::from_str(&line)?;
            if let Some(error) = answer.get("error") {
                bail!("QEMU refused: {}", error["desc"].as_str().unwrap_or("it does not say why"));
            }
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
        }
        bail!("QEMU closed the connection")
    }
}
