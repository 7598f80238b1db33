//! `[keys]`, `[secrets]` and `[login]`.

use super::words::{PARAMETER, USER_NAME, is_parameter, is_user_name, made_of};
use super::{Look, key, named};
use crate::host::HostConfig;

/// What hostkit itself puts beside them.
const OWN_SECRETS: &[&str] = &["admin_password", "agent_key", "hostkit_token"];

impl Look {
    pub(super) fn keys(&mut self, config: &HostConfig) {
        let keys = &config.keys;
        for (at, name) in [("keys.private", &keys.private), ("keys.public", &keys.public)] {
            self.require(is_parameter(name), key(at), name, PARAMETER);
        }
        let hint = "the private half is `keys.private`: build agents read this one, so it must be \
                    another parameter";
        self.require(keys.private != keys.public, key("keys.public"), &keys.public, hint);
        let refresh = keys.refresh;
        let good = refresh == 0 || (60..=86400).contains(&refresh);
        let hint = "wanted are 60 to 86400 seconds, or 0 for never";
        self.require(good, key("keys.refresh"), refresh, hint);
        for (name, parameter) in &config.secrets {
            let at = || named("secrets", name);
            let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let good = made_of(name, 64, part) && !name.starts_with(|c: char| c.is_ascii_digit());
            let hint = "the name of a secret is made of letters, digits and `_`, as GITHUB_TOKEN";
            self.require(good, at(), name, hint);
            let free = !OWN_SECRETS.contains(&name.as_str());
            self.require(free, at(), name, "hostkit has a secret of this name: choose another");
            self.require(is_parameter(parameter), at(), parameter, PARAMETER);
        }
        let user = &config.login.user;
        self.require(is_user_name(user), key("login.user"), user, USER_NAME);
    }
}
