//! The container host: it runs containers, and they do not reach the metadata service.

use super::{alone, bake, sections, vm_of};
use crate::support::is_root;

/// What is tried inside. The container's image is made on the spot, of one static program. Every
/// `@@` line begins a section.
const ATTEMPTS: &str = r#"
tar --create --directory / --transform 's,.*/,,' "$(readlink -f /usr/bin/busybox)" |
    docker import - box >/dev/null
docker network create other >/dev/null
metadata() { docker run --rm "$@" box /busybox wget -T 20 -O - http://169.254.169.254/latest/meta-data/ 2>&1; }
echo "@@ status"; hostkit status
echo "@@ container"; docker run --rm box /busybox echo from inside
echo "@@ from the host"; metadata --network host
echo "@@ from a container"; metadata
echo "@@ from another network"; metadata --network other
echo "@@ shield"; nft list table inet hostkit_shield
echo "@@ ecs.config"; cat /etc/ecs/ecs.config; stat -c '%a %U' /etc/ecs/ecs.config
echo "@@ again"; systemctl restart hostkit-boot && hostkit status | head -n 1
echo "@@ without the shield"; systemctl stop hostkit-shield; systemctl is-active docker.service
systemctl start docker.service; systemctl is-active hostkit-shield.service
echo "@@ failed units"; systemctl --failed --no-legend --plain
echo "@@ end"
"#;

#[test]
fn a_container_host_runs_containers_that_cannot_take_its_role() {
    if !is_root() {
        return;
    }
    let _alone = alone();
    // Amazon's package of the ECS agent is not to be had here: the host does without.
    let vars = ["ecs_init=", "ecs_agent=optional", "cluster=builds", "tools=busybox-static"];
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
    assert!(said["status"].contains("this image has no ECS agent"), "{}", said["status"]);
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
    assert!(config.contains("ECS_CLUSTER=builds\n") && config.ends_with("600 root"), "{config}");
    assert!(said["again"].starts_with("ready in "), "{}", said["again"]);
    // Docker goes with its shield and brings it back.
    assert_eq!(said["without the shield"], "inactive\nactive");
    assert_eq!(said["failed units"], "");
}
