//! `hostkit guard`: what systemd runs as long as a host lives.

use std::process::ExitCode;

use crate::error::{self, Fault};
use crate::guard::{self, Post};
use crate::ui::{self, Format};

/// As `hostkit guard`, in a process that has nothing else: no parser, and diagnosis only where
/// `RUST_LOG` asks for it.
pub fn alone() -> ExitCode {
    if std::env::var_os("RUST_LOG").is_some() {
        ui::trace::start();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the kernel gives every process an event queue");
    match runtime.block_on(run(Format::Human)) {
        Ok(code) => code,
        Err(error) => {
            ui::fail(Format::Human, &error);
            ExitCode::from(error::blame(&error).exit_code())
        }
    }
}

pub(super) async fn run(format: Format) -> anyhow::Result<ExitCode> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Fault::environment("only root can guard this host")
            .hint("systemctl start hostkit-guard")
            .into());
    }
    let (events, printer) = match format {
        Format::Human => ui::lines(),
        Format::Json => ui::start(format),
    };
    let end = guard::guard(Post::default(), events).await;
    printer.finish().await;
    end.map(|()| ExitCode::SUCCESS)
}
