//! `[jenkins]`.

use super::words::{
    LABEL, PARAMETER, POOL, USER_NAME, is_arn, is_label, is_parameter, is_path, is_pool,
    is_user_name, made_of,
};
use super::{Look, key, named, of_named};
use crate::host::{Cloud, Jenkins, Pool};

impl Look {
    pub(super) fn jenkins(&mut self, jenkins: &Jenkins) {
        let security = &jenkins.security;
        for (at, name) in [
            ("jenkins.security.admin_user", &security.admin_user),
            ("jenkins.agent_user", &jenkins.agent_user),
            ("jenkins.security.hostkit_user", &security.hostkit_user),
        ] {
            self.require(is_user_name(name), key(at), name, USER_NAME);
        }
        let password = &security.admin_password;
        let at = key("jenkins.security.admin_password");
        self.require(is_parameter(password), at, password, PARAMETER);
        if let Some(url) = &jenkins.url {
            let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            let safe = |c: char| c.is_ascii_alphanumeric() || ".-_:/[]~%".contains(c);
            let good = rest.is_some_and(|rest| made_of(rest, 255, safe) && !rest.starts_with('/'));
            let hint = "wanted is what people type, as \"https://ci.example.com/\"";
            let shown = if url.contains('@') { "…@…" } else { url };
            self.require(good, key("jenkins.url"), shown, hint);
        }
        self.java(jenkins);
        for (name, pool) in &jenkins.pools {
            self.require(is_pool(name), named("jenkins.pools", name), name, POOL);
            self.pool(name, pool);
        }
        for (name, cloud) in &jenkins.clouds {
            self.require(is_pool(name), named("jenkins.clouds", name), name, POOL);
            self.cloud(name, cloud);
        }
    }

    fn java(&mut self, jenkins: &Jenkins) {
        let heap = jenkins.heap;
        let hint = "wanted are 10 to 90 percent; the rest is for threads, metaspace and the system";
        self.require((10..=90).contains(&heap), key("jenkins.heap"), heap, hint);
        for option in &jenkins.java_options {
            // systemd and a shell read the file, each by its own rules of quoting: these need none.
            let plain = |c: char| c.is_ascii_graphic() && !"\"'`\\$".contains(c);
            let good = made_of(option, 1000, plain) && option.starts_with('-');
            let hint = "wanted is one option an element, beginning with `-` and without spaces, \
                        quotes, `\\` and `$`, as \"-XX:+UseG1GC\"";
            // What is behind may be a password.
            let shown = option.split_inclusive('=').next().unwrap_or_default();
            self.require(good, key("jenkins.java_options"), shown, hint);
        }
        let timeout = jenkins.start_timeout;
        let hint = "wanted are 60 to 7200 seconds";
        self.require((60..=7200).contains(&timeout), key("jenkins.start_timeout"), timeout, hint);
    }

    fn pool(&mut self, name: &str, pool: &Pool) {
        let at = |key: &str| of_named("jenkins.pools", name, key);
        if let Some(group) = &pool.asg {
            let hint = "wanted is the name of an Auto Scaling group; without `asg`, agents are found \
                        by the tag `hostkit:pool`";
            self.require(is_group(group), at("asg"), group, hint);
        }
        for label in &pool.labels {
            self.require(is_label(label), at("labels"), label, LABEL);
        }
        let executors = pool.executors;
        let hint = "wanted are 1 to 64 builds at the same time";
        self.require((1..=64).contains(&executors), at("executors"), executors, hint);
        let root = &pool.remote_root;
        let hint = "wanted is an absolute path, as \"/var/lib/jenkins-agent\"";
        self.require(is_path(root), at("remote_root"), root, hint);
        self.require(pool.port > 0, at("port"), pool.port, "the port of SSH is 22");
        if let Some(parameter) = &pool.host_key {
            self.require(is_parameter(parameter), at("host_key"), parameter, PARAMETER);
        }
    }

    fn cloud(&mut self, name: &str, cloud: &Cloud) {
        let at = |key: &str| of_named("jenkins.clouds", name, key);
        let hint = "wanted is the cluster's name or its ARN";
        self.require(is_cluster(&cloud.cluster), at("cluster"), &cloud.cluster, hint);
        let part = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
        let hint = "wanted is the image of a container, as \"jenkins/inbound-agent:jdk21\"";
        self.require(made_of(&cloud.image, 255, part), at("image"), &cloud.image, hint);
        for label in &cloud.labels {
            self.require(is_label(label), at("labels"), label, LABEL);
        }
        let (memory, cpu) = (cloud.memory, cloud.cpu);
        let hint = "wanted are 128 to 1048576 MiB";
        self.require((128..=1_048_576).contains(&memory), at("memory"), memory, hint);
        let hint = "wanted are 128 to 196608 units; a core has 1024";
        self.require((128..=196_608).contains(&cpu), at("cpu"), cpu, hint);
        if let Some(role) = &cloud.task_role {
            let hint = "wanted is the ARN of a role, as \"arn:aws:iam::123456789012:role/builds\"";
            self.require(is_arn(role, "iam", "role/"), at("task_role"), role, hint);
        }
    }
}

/// Auto Scaling takes more; what would need quotes somewhere is left out.
fn is_group(name: &str) -> bool {
    made_of(name, 255, |c| c.is_ascii_alphanumeric() || " -_./@+=,".contains(c))
        && name.trim() == name
}

/// The name or the ARN of a cluster.
pub(super) fn is_cluster(cluster: &str) -> bool {
    made_of(cluster, 2048, |c| c.is_ascii_alphanumeric() || "-_:/".contains(c))
}
