//! The container host: it joins its cluster and runs containers, and they do not reach the metadata
//! service. Its ECS agent is the package that `tests/fixtures/ecs-agent-package` builds.

use std::process::Command;

use super::{alone, bake, folder, run, sections, vm_of};
use crate::support::{is_root, repository};

/// What is tried inside. The container's image is made on the spot, of one static program. Every
/// `@@` line begins a section.
const ATTEMPTS: &str = r#"
tar --create --directory / --transform 's,.*/,,' "$(readlink -f /usr/bin/busybox)" |
    docker import - box >/dev/null
docker network create other >/dev/null
metadata() { docker run --rm "$@" box /busybox wget -T 20 -O - http://169.254.169.254/latest/meta-data/ 2>&1; }
agent() {
    for _ in $(seq 60); do busybox wget -q -O - http://127.0.0.1:51678/v1/$1 && break; sleep 1; done
    echo
}
echo "@@ status"; hostkit status
echo "@@ agent"; agent metadata
echo "@@ tasks"; agent tasks
echo "@@ enabled"; systemctl is-enabled ecs.service
echo "@@ prevents"; systemctl show ecs.service --property=RestartPreventExitStatus --value
echo "@@ mark"; cat /var/lib/ecs/hostkit-instance
echo "@@ container"; docker run --rm box /busybox echo from inside
echo "@@ from the host"; metadata --network host
echo "@@ from a container"; metadata
echo "@@ from another network"; metadata --network other
echo "@@ shield"; nft list table inet hostkit_shield
echo "@@ ecs.config"; cat /etc/ecs/ecs.config; stat -c '%a %U' /etc/ecs/ecs.config
echo "@@ again"; systemctl restart hostkit-boot && hostkit status | head -n 1
echo "@@ started again"; systemctl restart ecs; agent metadata
echo "@@ without the shield"; systemctl stop hostkit-shield; systemctl is-active docker.service
systemctl start docker.service; systemctl is-active hostkit-shield.service
echo "@@ somebody else's state"; systemctl stop ecs; echo i-0123456789abcdef0 >/var/lib/ecs/hostkit-instance
echo '{"cluster": "other", "instance": "i-0123456789abcdef0", "arn": "x"}' >/var/lib/ecs/data/agent.json
systemctl restart hostkit-boot && hostkit status | head -n 1; agent metadata
echo "@@ given up"; systemctl stop ecs
echo '{"cluster": "other", "instance": "i-0123456789abcdef0", "arn": "x"}' >/var/lib/ecs/data/agent.json
systemctl restart hostkit-boot; hostkit status; systemctl show ecs.service --property=ExecMainStatus
rm /var/lib/ecs/data/agent.json; systemctl restart hostkit-boot; hostkit status | head -n 1
echo "@@ failed units"; systemctl --failed --no-legend --plain
echo "@@ end"
"#;

#[test]
fn a_container_host_joins_its_cluster_and_its_containers_cannot_take_its_role() {
    if !is_root() {
        return;
    }
    let _alone = alone();
    // Amazon's package of the ECS agent is not to be had here.
    let package = folder().join("ecs.deb");
    let build = repository("tests/fixtures/ecs-agent-package/build.sh");
    assert!(run(Command::new(build).arg(&package)), "the stand-in package was not built");
    let package = format!("ecs_package={}", package.display());
    let vars = ["ecs_init=", &package, "cluster=hostkit-vm", "tools=busybox-static"];
    let image = bake("ecs-node", &vars.map(str::to_owned));
    let output = vm_of(&image)
        // The other images of these tests boot by BIOS.
        .args(["--firmware", "uefi"])
        .args(["--until", "ready", "--", "sudo", "bash", "-c", ATTEMPTS])
        .assert()
        .success();
    let output = &output.get_output().stdout;
    let said = sections(output);
    assert!(said.contains_key("end"), "{}", String::from_utf8_lossy(output));

    assert!(said["status"].starts_with("ready in "), "{}", said["status"]);
    it_is_in_its_cluster(&said);
    assert_eq!(said["container"], "from inside");
    let (host, inside) = (&said["from the host"], &said["from a container"]);
    // The service is there, and asks for a token.
    assert!(host.contains("401"), "{host}");
    for told in [inside, &said["from another network"]] {
        assert!(!told.contains("401") && told.contains("can't connect"), "{told}");
    }
    let rejected = |line: &&str| line.contains("169.254.169.254") && !line.contains("packets 0 ");
    assert!(said["shield"].lines().find(rejected).is_some(), "{}", said["shield"]);
    let config = &said["ecs.config"];
    assert!(
        config.contains("ECS_CLUSTER=hostkit-vm\n") && config.ends_with("600 root"),
        "{config}"
    );
    assert!(config.contains("\nECS_RESERVED_MEMORY="), "{config}");
    assert!(said["again"].starts_with("ready in "), "{}", said["again"]);
    // Docker goes with its shield and brings it back.
    assert_eq!(said["without the shield"], "inactive\nactive");
    assert_eq!(said["failed units"], "");
}

/// As its agent says, and as ECS says: `ready` is after both.
fn it_is_in_its_cluster(said: &std::collections::HashMap<String, String>) {
    let name = |section: &str| {
        let told: serde_json::Value = serde_json::from_str(&said[section]).unwrap();
        assert_eq!(told["Cluster"], "hostkit-vm");
        told["ContainerInstanceArn"].as_str().unwrap().to_owned()
    };
    let arn = name("agent");
    assert!(arn.contains(":container-instance/hostkit-vm/"), "{arn}");
    assert_eq!(said["tasks"], "{\"Tasks\": null}");
    assert_eq!((said["enabled"].as_str(), said["prevents"].as_str()), ("disabled", "5"));
    assert!(said["mark"].starts_with("i-"), "{}", said["mark"]);
    assert_eq!(name("started again"), arn, "it is the same container instance");

    let (head, told) = said["somebody else's state"].split_once('\n').unwrap();
    assert!(head.starts_with("ready in "), "{head}");
    assert!(told.contains("container-instance/hostkit-vm/"), "{told}");
    let given_up = &said["given up"];
    assert!(given_up.contains("the ECS agent has given up (exit status 5)"), "{given_up}");
    assert!(given_up.contains("saved cluster does not match"), "{given_up}");
    assert!(given_up.contains("ExecMainStatus=5\nready in "), "{given_up}");
}
