//! The options of the Java machine, from what the host has.

use crate::error::Fault;

/// Jenkins does not start with less.
const LEAST_HEAP_MIB: u64 = 256;

/// What is left to the JVM itself, the page cache and the NFS client.
const LEAST_REST_MIB: u64 = 256;

/// With less than this a collector with threads of its own costs more than it saves.
const SMALL_HEAP_MIB: u64 = 1024;

/// What needs no quotes in a shell.
const PLAIN: &str = "_=:.,/+@%-";

/// What would end the quotes, or the line.
const REFUSED: &[char] = &['\'', '"', '\\', '$', '`'];

/// Options that every controller gets. What is written often stays off EFS: unpacked plug-ins,
/// temporary files, git caches, heap dumps. A start reads thousands of small files, several at a
/// time, because each is a question to EFS.
const ALWAYS: &[&str] = &[
    "-Djava.awt.headless=true",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:+HeapDumpOnOutOfMemoryError",
    "-XX:HeapDumpPath=/var/cache/jenkins",
    "-Djenkins.install.runSetupWizard=false",
    // hostkit's own user may quiet Jenkins without being its administrator.
    "-Djenkins.security.ManagePermission=true",
    "-Djenkins.InitReactorRunner.concurrency=8",
    "-Djava.io.tmpdir=/var/cache/jenkins/tmp",
    "-Dhudson.PluginManager.workDir=/var/cache/jenkins/plugins",
    "-Djenkins.plugins.git.AbstractGitSCMSource.cacheRootDir=/var/cache/jenkins/git",
];

/// The heap in MiB: a share of the memory, in percent, of a machine or of what a control group
/// leaves of it.
pub fn heap_mib(memory: u64, percent: u8) -> u64 {
    let all = memory / 1024 / 1024;
    let share = all * u64::from(percent) / 100;
    share.min(all.saturating_sub(LEAST_REST_MIB)).max(LEAST_HEAP_MIB)
}

/// All options in one line, as `JAVA_OPTS` takes them. `more` comes last, so it wins.
///
/// The start script of Jenkins has a shell read the line again, so what could mean something to a
/// shell is quoted, and what could end the quotes is refused.
pub fn options(memory: u64, percent: u8, more: &[String]) -> Result<String, Fault> {
    let heap = heap_mib(memory, percent);
    let mut all = vec![format!("-Xms{heap}m"), format!("-Xmx{heap}m")];
    // The JVM refuses to start with two collectors.
    if !more.iter().any(|option| chooses_collector(option)) {
        let small = heap < SMALL_HEAP_MIB;
        all.push(if small { "-XX:+UseSerialGC" } else { "-XX:+UseG1GC" }.to_owned());
    }
    all.extend(ALWAYS.iter().map(|option| (*option).to_owned()));
    for option in more {
        all.push(quoted(option)?);
    }
    Ok(all.join(" "))
}

fn chooses_collector(option: &str) -> bool {
    option.strip_prefix("-XX:+Use").is_some_and(|rest| rest.ends_with("GC"))
}

fn quoted(option: &str) -> Result<String, Fault> {
    let shown = option.escape_debug();
    if !option.starts_with('-') {
        return Err(refused(format!("`{shown}` is not an option of Java")));
    }
    if option.contains(REFUSED) || option.contains(char::is_control) {
        return Err(refused(format!("`{shown}` has a character that cannot be handed to Java")));
    }
    let plain = option.chars().all(|c| c.is_ascii_alphanumeric() || PLAIN.contains(c));
    Ok(if plain { option.to_owned() } else { format!("'{option}'") })
}

fn refused(what: String) -> Fault {
    Fault::recipe(what).hint(
        "each text of `jenkins.java_options` is one option, as `-Dname=value`, without quotes, \
         backslashes and dollar signs",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn with(memory: u64, more: &[&str]) -> Result<String, String> {
        let more: Vec<_> = more.iter().map(|it| (*it).to_owned()).collect();
        options(memory, 50, &more).map_err(|fault| fault.to_string())
    }

    #[test]
    fn the_heap_is_a_share_that_leaves_the_machine_something() {
        assert_eq!((heap_mib(4 * GIB, 50), heap_mib(16 * GIB, 60)), (2048, 9830));
        assert_eq!(heap_mib(2 * GIB, 100), 2048 - 256, "something is left");
        assert_eq!(heap_mib(GIB / 4, 50), 256, "less does not start");
    }

    #[test]
    fn a_small_heap_has_a_collector_without_threads_and_a_choice_of_ones_own_wins() {
        assert!(with(GIB, &[]).unwrap().contains("-XX:+UseSerialGC"));
        assert!(with(8 * GIB, &[]).unwrap().contains("-XX:+UseG1GC"));
        let own = with(8 * GIB, &["-XX:+UseZGC"]).unwrap();
        assert!(!own.contains("UseG1GC") && own.ends_with("-XX:+UseZGC"), "{own}");
    }

    #[test]
    fn an_option_reaches_java_as_it_was_written_or_not_at_all() {
        let line = with(GIB, &["-Da=b;reboot", "-Db=*", "-Dc=1,2"]).unwrap();
        assert!(line.ends_with("'-Da=b;reboot' '-Db=*' -Dc=1,2"), "{line}");
        for bad in
            ["-Da='b", "-Da=$(id)", "-Da=`id`", "-Da=\"b", "-Da=b\\", "-Da=b\nX=1", "Xmx1g", ""]
        {
            assert!(with(GIB, &[bad]).is_err(), "{bad:?}");
        }
    }
}
