//! What is asked of systemd: to start units, and how they are.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::{Cmd, CmdError, Runner, Tool};

/// A question to systemd is answered at once; the first one after power-on takes seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// It runs every generator and reads every unit.
const RELOAD_PATIENCE: Duration = Duration::from_secs(90);

/// Properties of a unit, by name.
pub type Properties = HashMap<String, String>;

/// Asks for properties of `unit`. A unit that does not exist has properties too (`LoadState`).
pub async fn show(runner: &Runner, unit: &str, names: &[&str]) -> Result<Properties, CmdError> {
    let properties = format!("--property={}", names.join(","));
    let command = Cmd::new(Tool::Systemctl).args(["show", unit, &properties]).timeout(PATIENCE);
    let text = runner.run(&command).await?.text();
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// Enqueues the start of `unit` and does not wait for it.
pub async fn start_no_block(runner: &Runner, unit: &str) -> Result<(), CmdError> {
    let command = Cmd::new(Tool::Systemctl).args(["start", "--no-block", unit]).timeout(PATIENCE);
    runner.run(&command).await.map(drop)
}

/// Enqueues a restart of `unit` and does not wait for it.
pub async fn restart_no_block(runner: &Runner, unit: &str) -> Result<(), CmdError> {
    let command = Cmd::new(Tool::Systemctl).args(["restart", "--no-block", unit]).timeout(PATIENCE);
    runner.run(&command).await.map(drop)
}

/// Has `unit` read its configuration again, by a restart if it cannot otherwise; nothing where it
/// does not run.
pub async fn reload_if_running(runner: &Runner, unit: &str) -> Result<(), CmdError> {
    let command = Cmd::new(Tool::Systemctl).args(["try-reload-or-restart", unit]).timeout(PATIENCE);
    runner.run(&command).await.map(drop)
}

/// Has systemd read its units again. On a machine that boots this takes seconds.
pub async fn daemon_reload(runner: &Runner) -> Result<(), CmdError> {
    let command = Cmd::new(Tool::Systemctl).args(["daemon-reload"]).timeout(RELOAD_PATIENCE);
    runner.run(&command).await.map(drop)
}

/// Forgets that `unit` failed, and how often it was started.
pub async fn reset_failed(runner: &Runner, unit: &str) -> Result<(), CmdError> {
    let command = Cmd::new(Tool::Systemctl).args(["reset-failed", unit]).timeout(PATIENCE);
    runner.run(&command).await.map(drop)
}

/// Enqueues the stop of `unit` and does not wait for it.
pub async fn stop_no_block(runner: &Runner, unit: &str) -> Result<(), CmdError> {
    let command = Cmd::new(Tool::Systemctl).args(["stop", "--no-block", unit]).timeout(PATIENCE);
    runner.run(&command).await.map(drop)
}

/// Sends `signal` to every process of `unit`.
pub async fn kill(runner: &Runner, unit: &str, signal: &str) -> Result<(), CmdError> {
    let signal = format!("--signal={signal}");
    let command = Cmd::new(Tool::Systemctl).args(["kill", &signal, unit]).timeout(PATIENCE);
    runner.run(&command).await.map(drop)
}

/// Restarts the machine: its units are stopped first. It is enqueued and not waited for.
pub async fn reboot(runner: &Runner) -> Result<(), CmdError> {
    let command = Cmd::new(Tool::Systemctl).args(["reboot", "--no-block", "--no-wall"]);
    runner.run(&command.timeout(PATIENCE)).await.map(drop)
}

/// Restarts the machine without stopping units, which may hang: processes are killed, and what the
/// kernel does not let go is left.
pub async fn reboot_now(runner: &Runner) -> Result<(), CmdError> {
    let command = Cmd::new(Tool::Systemctl).args(["reboot", "--force", "--no-wall"]);
    runner.run(&command.timeout(PATIENCE)).await.map(drop)
}

/// The units whose jobs are under way; others wait for these. Evidence, as [`last_lines`].
pub async fn running_jobs(runner: &Runner) -> Vec<String> {
    let command =
        Cmd::new(Tool::Systemctl).args(["list-jobs", "--no-legend", "--plain"]).timeout(PATIENCE);
    let text = runner.run(&command).await.map(|output| output.text()).unwrap_or_default();
    let running = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (unit, _, state) = (words.next()?, words.next()?, words.next()?);
        (state == "running").then(|| unit.to_owned())
    });
    running.collect()
}

/// The last lines that `unit` wrote to the journal in this boot. Evidence for an error message:
/// where there is no journal there is no evidence, and that is not an error of its own.
pub async fn last_lines(runner: &Runner, unit: &str, count: u32) -> String {
    let command = Cmd::new(Tool::Journalctl)
        .args(["--boot", "--quiet", "--no-pager", "--output=cat"])
        .args([format!("--unit={unit}"), format!("--lines={count}")])
        .timeout(PATIENCE);
    runner.run(&command).await.map(|output| output.text()).unwrap_or_default()
}

/// The name of the mount unit of an absolute path, as `systemd-escape --path --suffix=mount` gives it.
pub fn mount_unit(path: &str) -> String {
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    let mut name = String::new();
    for (at, byte) in parts.join("/").bytes().enumerate() {
        match byte {
            b'/' => name.push('-'),
            b'.' if at == 0 => name.push_str("\\x2e"),
            b':' | b'_' | b'.' => name.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => name.push(char::from(byte)),
            _ => {
                let _ = write!(name, "\\x{byte:02x}");
            }
        }
    }
    if name.is_empty() { "-.mount".to_owned() } else { format!("{name}.mount") }
}

/// The value of `name` in the property `Environment`: words, quoted where they hold spaces.
pub fn environment<'a>(property: &'a str, name: &str) -> Option<&'a str> {
    variables(property).find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// The names in the property `Environment`.
pub fn environment_names(property: &str) -> Vec<String> {
    variables(property).map(|(name, _)| name.to_owned()).collect()
}

fn variables(property: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut quoted = false;
    let words = property.split(move |c: char| {
        quoted ^= c == '"';
        c == '"' || (c == ' ' && !quoted)
    });
    words.filter_map(|word| word.split_once('='))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::runner::Script;

    #[test]
    fn a_quoted_value_keeps_its_spaces() {
        let property = "A=1 \"JAVA_OPTS=-Xmx1g -Da=b\" JENKINS_HOME=/home";
        assert_eq!(environment(property, "JAVA_OPTS"), Some("-Xmx1g -Da=b"));
        assert_eq!(environment(property, "JENKINS_HOME"), Some("/home"));
        assert_eq!(environment(property, "-Da"), None);
    }

    #[test]
    fn a_mount_unit_is_called_after_its_path() {
        for (path, unit) in [
            ("/var/lib/jenkins", "var-lib-jenkins.mount"),
            ("/srv/my-data/", "srv-my\\x2ddata.mount"),
            ("/.x/a b", "\\x2ex-a\\x20b.mount"),
            ("/", "-.mount"),
        ] {
            assert_eq!(mount_unit(path), unit);
        }
    }

    #[tokio::test]
    async fn a_property_may_hold_an_equals_sign() {
        let (runner, _) = Script::default()
            .answer("systemctl show jenkins.service", "ActiveState=active\nEnvironment=A=1 B=2\n")
            .runner();
        let shown =
            show(&runner, "jenkins.service", &["ActiveState", "Environment"]).await.unwrap();
        assert_eq!(shown["ActiveState"], "active");
        assert_eq!(environment(&shown["Environment"], "B"), Some("2"));
        assert_eq!(environment(&shown["Environment"], "C"), None);
    }
}
