//! What a builder says on its console, which EC2 hands on to those who may ask: the public host
//! keys that it has, and why it does not come up. Pure.

/// cloud-init and hostkit say their host keys between these.
const BEGIN: &str = "-----BEGIN SSH HOST KEY KEYS-----";
const END: &str = "-----END SSH HOST KEY KEYS-----";

/// The kind of key that is asked for.
const KIND: &str = "ssh-ed25519 ";

/// How many lines of a console an error quotes.
const TAIL: usize = 25;

/// The host keys that were said last: a machine that makes new ones says them again.
pub(super) fn host_keys(console: &str) -> Vec<String> {
    let Some((_, said)) = console.rsplit_once(BEGIN) else { return Vec::new() };
    // What has no end yet is not whole.
    let Some((said, _)) = said.split_once(END) else { return Vec::new() };
    said.lines()
        .filter_map(|line| line.find(KIND).map(|at| super::keys::bare(&line[at..])))
        .filter(|key| key.len() > KIND.len())
        .collect()
}

/// Without a terminal's line ends and codes.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

/// The end of a console, readable.
pub(super) fn tail(console: &str) -> String {
    let console = plain(console);
    let lines: Vec<&str> = console.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_that_were_said_last_count_and_only_whole() {
        let console = "ci-info: x\r\n-----BEGIN SSH HOST KEY KEYS-----\r\n\
            ssh-ed25519 OLD root@a\r\n-----END SSH HOST KEY KEYS-----\r\n\
            [   12.3] cloud-init[1]: -----BEGIN SSH HOST KEY KEYS-----\r\n\
            ecdsa-sha2-nistp256 AAAAE2 root@a\r\n\
            [   12.4] x: ssh-ed25519 NEW root@a\r\n-----END SSH HOST KEY KEYS-----\r\nlogin: ";
        assert_eq!(host_keys(console), ["ssh-ed25519 NEW"]);
        let torn = &console[..console.find("-----END").unwrap()];
        assert_eq!(host_keys(torn), [""; 0]);
        assert_eq!(host_keys("nothing"), [""; 0]);
    }

    #[test]
    fn the_tail_of_a_console_has_no_codes_and_no_empty_lines() {
        let console = format!("{}\x1b[31mthe cause\x1b[0m\r\n\r\n", "a\n".repeat(100));
        let tail = tail(&console);
        assert_eq!(tail.lines().count(), TAIL);
        assert!(tail.ends_with("[31mthe cause[0m"), "{tail}");
    }
}
