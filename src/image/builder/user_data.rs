//! What a builder reads at its first boot: the host key that it is to show, and its own end.
//!
//! In two forms that cloud-init takes together, for bases that know only one of them. An image of
//! hostkit without cloud-init understands neither, and so stays what a builder must be: a host
//! without a role. It says its own host key on the console.

use std::time::Duration;

use crate::sys::cmd::quote;

/// AWS's limit, in bytes.
const LIMIT: usize = 16 << 10;

/// What is between the parts.
const BOUNDARY: &str = "==hostkit-builder==";

/// The text of the user-data.
pub(super) fn text(host_private: &str, host_public: &str, lifetime: Duration) -> String {
    let cloud_config = cloud_config(host_private, host_public);
    let script = script(host_private, host_public, lifetime);
    let mut text =
        format!("Content-Type: multipart/mixed; boundary=\"{BOUNDARY}\"\nMIME-Version: 1.0\n\n");
    for (kind, part) in [("cloud-config", cloud_config), ("x-shellscript", script)] {
        text += &format!(
            "--{BOUNDARY}\nContent-Type: text/{kind}; charset=\"us-ascii\"\n\
             MIME-Version: 1.0\nContent-Transfer-Encoding: 7bit\n\n{part}\n"
        );
    }
    text += &format!("--{BOUNDARY}--\n");
    debug_assert!(text.len() < LIMIT, "two keys are small");
    text
}

/// Before the SSH server starts, so that it never shows another key.
fn cloud_config(host_private: &str, host_public: &str) -> String {
    let lines: String = host_private.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "#cloud-config\n\
         ssh_deletekeys: true\n\
         ssh_keys:\n\
         \x20 ed25519_private: |\n{lines}\
         \x20 ed25519_public: {host_public}\n\
         package_update: false\n\
         package_upgrade: false\n\
         package_reboot_if_required: false\n"
    )
}

/// Late in the first boot.
fn script(host_private: &str, host_public: &str, lifetime: Duration) -> String {
    let minutes = lifetime.as_secs().div_ceil(60);
    let (private, public) = (quote(host_private.trim_end()), quote(host_public));
    format!(
        "#!/bin/sh\n\
         # A builder that nobody watches any more ends itself.\n\
         shutdown -P +{minutes} 'hostkit: this builder has lived long enough' || true\n\
         key=/etc/ssh/ssh_host_ed25519_key\n\
         if [ \"$(cut -d' ' -f2 $key.pub 2>/dev/null)\" != {body} ]; then\n\
         umask 077\n\
         printf '%s\\n' {private} >$key.hostkit\n\
         printf '%s\\n' {public} >$key.pub && chmod 644 $key.pub\n\
         mv $key.hostkit $key\n\
         systemctl restart ssh 2>/dev/null || systemctl restart sshd\n\
         fi\n",
        body = quote(host_public.split_whitespace().nth(1).unwrap_or_default()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_have_the_host_key_and_the_script_its_end() {
        let private =
            "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----\n";
        let text = text(private, "ssh-ed25519 AAAAC3 host", Duration::from_secs(90));
        insta::assert_snapshot!(text);
    }
}
