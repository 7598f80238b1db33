//! The host keys of pools: every agent of a pool shows the same one.

use super::keys::*;
use super::sshd::{Sshd, pair};
use super::*;
use crate::keys::private::tests::PUBLIC;

/// An agent of the pool with a real SSH server, which has a host key of its own so far.
async fn agent_of_the_pool() -> Option<(World, Sshd)> {
    let mut world = World::told(POOL).await;
    world.put(HOST_KEY, PRIVATE_KEY);
    pair(&world.root.join("etc/ssh/ssh_host_ed25519_key"));
    let server = Sshd::start(&world.root).await?;
    world.machine.ssh = server.address;
    world.systemd.lock().unwrap().others.insert("ssh.service", "active");
    let reload = server.reloader();
    let (runner, script) = systemd_and(&world.root, &world.systemd, |script| {
        script.on("systemctl try-reload-or-restart ssh.service", move |_| {
            reload();
            Ok(String::new())
        })
    });
    (world.machine.runner, world.script) = (runner, script);
    Some((world, server))
}

#[tokio::test]
async fn two_agents_with_one_baked_host_name_have_names_of_their_own_and_the_host_key_of_the_pool()
{
    let Some((one, one_server)) = agent_of_the_pool().await else { return };
    let Some((other, other_server)) = agent_of_the_pool().await else { return };
    let login = one.root.join("made/login");
    let (_, public) = pair(&login);
    let known_hosts = one.root.join("known_hosts");
    fs::write(&known_hosts, format!("pool {}\n", PUBLIC.rsplit_once(' ').unwrap().0)).unwrap();
    assert!(!one_server.lets_in(&login, &known_hosts).await, "so far it shows a key of its own");
    for (world, server) in [(&one, &one_server), (&other, &other_server)] {
        assert_eq!(world.text("proc/sys/kernel/hostname"), "localhost\n");
        world.put(LIST, &public);
        world.boot().await.unwrap();
        assert!(world.outcomes().contains("host-key changed"), "{}", world.outcomes());
        assert_eq!(world.text("proc/sys/kernel/hostname"), "ip-10-0-2-15");
        assert!(server.lets_in(&login, &known_hosts).await, "{}", world.text("sshd.log"));
        let mode = fs::metadata(world.root.join("etc/ssh/ssh_host_ed25519_key")).unwrap();
        assert_eq!(mode.permissions().mode() & 0o7777, 0o600);
        let asked = world.cloud.lock().unwrap().asked.clone();
        assert_eq!(asked.iter().filter(|it| *it == "GetParameters").count(), 1, "in one call");
        assert!(!world.cloud.lock().unwrap().read.contains(&PRIVATE.to_owned()));
    }
    one.boot().await.unwrap();
    assert!(one.outcomes().contains("host-key unchanged"), "{}", one.outcomes());
}

#[tokio::test]
async fn an_agent_that_does_not_show_the_host_key_of_its_pool_is_not_put_into_service() {
    let Some((mut world, _server)) = agent_of_the_pool().await else { return };
    // A server that does not take the new key: it has another file. (One that is told nothing takes
    // it, too, where it reads its keys for every connection.)
    let elsewhere = tempfile::tempdir().unwrap();
    let elsewhere = Utf8Path::from_path(elsewhere.path()).unwrap();
    pair(&elsewhere.join("etc/ssh/ssh_host_ed25519_key"));
    let Some(stubborn) = Sshd::start(elsewhere).await else { return };
    world.machine.ssh = stubborn.address;
    world.machine.step_limit = Duration::from_secs(6);
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("it shows the host key SHA256:"), "{error}");
    assert_eq!(world.verdicts(), ["ABANDON"]);
}

#[tokio::test]
async fn a_pool_without_a_host_key_is_told_how_to_get_one() {
    let world = World::told(POOL).await;
    let error = world.boot().await.unwrap_err();
    insta::assert_snapshot!(error);
    world.put(HOST_KEY, PUBLIC);
    let error = world.boot().await.unwrap_err();
    assert!(error.contains("`/hostkit/pools/linux/host_key` holds a public key"), "{error}");
}
