//! A page of main: parse, set up diagnosis, run one command, turn its end into an exit code.

use std::process::ExitCode;

use clap::Parser as _;
use hostkit::cli::inner::Inner;
use hostkit::cli::{Cli, Command};
use hostkit::sys::{namespaces, process};
use hostkit::{cli, error, ui};

fn main() -> ExitCode {
    // Three that stay for months: without the parser, which is most of what a process here touches.
    let is = |words: [&str; 2]| std::env::args_os().skip(1).eq(words);
    if is(["inner", "clerk"]) {
        return cli::inner::run(&Inner::Clerk { anywhere: false });
    }
    if is(["lease", "hold"]) {
        return cli::lease::hold();
    }
    if std::env::args_os().skip(1).eq(["guard"]) {
        return cli::guard::alone();
    }
    let cli = Cli::parse();
    // Work between fork and exec happens in a process that has no threads and no runtime.
    if let Command::Inner(command) = &cli.command {
        return cli::inner::run(command);
    }
    ui::trace::start();
    if cli.command.makes_trees() {
        process::usual_umask();
    }
    if cli.command.mounts()
        && let Err(error) = namespaces::own_mounts()
    {
        // Whoever needs it finds out before work begins, and says what to do.
        tracing::debug!(%error, "no mount namespace");
    }
    let format = cli.format;
    // One thread: a child that is tied to its parent is tied to the thread that started it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the kernel gives every process an event queue");
    let code = match runtime.block_on(cli::run(cli)) {
        Ok(code) => code,
        Err(error) => {
            ui::fail(format, &error);
            ExitCode::from(error::blame(&error).exit_code())
        }
    };
    // The system's resolver may still wait for servers that are dead: nobody waits for it.
    runtime.shutdown_background();
    code
}
