//! `[agent]`.

use super::words::{
    LABEL, PARAMETER, POOL, USER_NAME, is_label, is_parameter, is_pool, is_user_name, network,
};
use super::{Look, key};
use crate::host::{HostConfig, Role};

/// Whom systemd/sshd-20-agent.conf keeps from letting others in.
const AGENT_USER: &str = "jenkins";

impl Look {
    pub(super) fn agent(&mut self, config: &HostConfig) {
        let (agent, is_agent) = (&config.agent, config.role == Some(Role::Agent));
        let (at, user) = ("agent.user", &agent.user);
        // People and the controller each have a file of their own there.
        let own_user = *user != config.login.user;
        if !is_user_name(user) {
            self.require(false, key(at), user, USER_NAME);
        } else if is_agent && !own_user {
            let hint = "people log in as `login.user`: the controller needs a user of its own";
            self.require(false, key(at), user, hint);
        } else if is_agent {
            let hint = format!(
                "sshd keeps `{AGENT_USER}` to the controller's keys; of any other user it would also \
                 take the keys that a build puts into the home"
            );
            self.require(user == AGENT_USER, key(at), user, &hint);
        }
        for from in &agent.from {
            if let Err(hint) = network(from) {
                self.require(false, key("agent.from"), from, &hint);
            }
        }
        if let Some(pool) = &agent.pool {
            self.require(is_pool(pool), key("agent.pool"), pool, POOL);
        }
        for label in &agent.labels {
            self.require(is_label(label), key("agent.labels"), label, LABEL);
        }
        if let Some(parameter) = &agent.host_key {
            self.require(is_parameter(parameter), key("agent.host_key"), parameter, PARAMETER);
            let public = parameter.ends_with(".pub");
            let hint = "this one is the private half; the public one is `host_key` of the pool";
            self.require(!public, key("agent.host_key"), parameter, hint);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::host::refused;

    #[test]
    fn an_agent_lets_in_only_the_user_whom_sshd_shuts_in() {
        let of = |text: &str| refused(&toml::from_str(text).unwrap());
        assert_eq!(of("role = 'agent'\n[agent]\nuser = 'jenkins'\nfrom = ['10.0.0.0/8']"), []);
        let other = of("role = 'agent'\n[agent]\nuser = 'builder'");
        assert_eq!(other[0].key(), "agent.user");
        assert!(other[0].hint.contains("jenkins"));
        assert_eq!(of("[agent]\nfrom = ['10.0.0.5/16']")[0].key(), "agent.from");
    }
}
